package sse

import (
	"bytes"

	"github.com/anasamu/comm"
)

// controlEvent is the event name of every frame but messages, so that EventSource.onmessage sees
// exactly the messages.
const controlEvent = "control"

// format is a frame of the client protocol as one event. It is comparable: all streams share the bytes
// of a message. Where it has no id line, each stream puts its own in front.
type format struct {
	codec comm.Codec
	ided  bool // with the id line of a client that is in the log of the message and in no other
}

// Append implements comm.Format.
func (f format) Append(dst []byte, frame *comm.Frame) ([]byte, error) {
	if dst != nil {
		return f.append(dst, frame)
	}
	scratch := getScratch() // so that what is kept grows once, to just its size
	defer putScratch(scratch)
	b, err := f.append(*scratch, frame)
	*scratch = b
	return bytes.Clone(b[headRoom:]), err
}

func (f format) append(dst []byte, frame *comm.Frame) ([]byte, error) {
	if f.ided {
		dst = frame.Log.Append(append(dst, "id: "...))
		dst = append(dst, '\n')
	}
	if frame.Op != comm.OpMessage {
		dst = append(dst, "event: "+controlEvent+"\n"...)
	}
	dst = append(dst, "data: "...)
	start := len(dst)
	dst, err := f.codec.AppendFrame(dst, frame)
	if err != nil {
		return dst, err
	}
	if data := dst[start:]; lineEnd(data) >= 0 { // never by the JSON codec; line ends in data would forge fields
		data = bytes.Clone(data)
		dst = appendLines(dst[:start-len("data: ")], "data: ", data)
		return append(dst, '\n'), nil
	}
	return append(dst, "\n\n"...), nil
}
