package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The client's own HTTP/2 framing (RFC 9113): what an event stream needs. It
// gives credit for the connection once and none for its streams, so that each
// of them carries 64 KiB.

const h2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Frame types and flags (RFC 9113 6).
const (
	h2Data     = 0x0
	h2Headers  = 0x1
	h2Reset    = 0x3
	h2Settings = 0x4
	h2Ping     = 0x6
	h2GoAway   = 0x7
	h2Window   = 0x8

	h2Ack        = 0x1 // SETTINGS, PING
	h2EndStream  = 0x1 // DATA, HEADERS
	h2EndHeaders = 0x4
	h2Padded     = 0x8
)

const h2Status200 = 0x88 // the indexed field ":status: 200" (RFC 7541 A)

// dialH2 opens one HTTP/2 connection over TLS with the spec's streams on it.
func dialH2(s *spec, index, _ int) (*wire, error) {
	w, err := openWire(s, index, "h2")
	if err != nil {
		return nil, err
	}
	if p := w.tls.ConnectionState().NegotiatedProtocol; p != "h2" {
		return nil, fmt.Errorf("the server speaks %q", p)
	}
	streams := max(1, s.Streams)
	h := &h2Streams{}
	out := appendH2Frame([]byte(h2Preface), h2Settings, 0, 0, nil)
	out = appendH2Frame(out, h2Window, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30))
	for i := range streams {
		member := &wire{index: index*streams + i}
		member.group = member.index % max(1, s.Groups)
		h.members = append(h.members, member)
		block := h2Request(withGroup(s.Entry.SSE, member.group))
		out = appendH2Frame(out, h2Headers, h2EndStream|h2EndHeaders, uint32(2*i+1), block)
	}
	return w, h.start(w, out)
}

// start opens the streams and waits until all are answered.
func (h *h2Streams) start(w *wire, out []byte) error {
	w.frames = h
	if err := w.write(out); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for h.open < len(h.members) {
		n, err := w.read(buf)
		if err == nil {
			w.carry, err = h.parse(w, append(w.carry, buf[:n]...), func(*wire, serverFrame) error { return nil })
		}
		if err != nil {
			return fmt.Errorf("opening %d streams: %w", len(h.members), err)
		}
	}
	w.waits = false
	return nil
}

// h2Request is the fields of a GET, each in the plainest form of RFC 7541 6.
func h2Request(target string) []byte {
	literal := func(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) } // below 127 bytes
	b := []byte{0x82, 0x87}                                                                     // :method GET, :scheme https
	b = literal(append(b, 0x01), "localhost")                                                   // :authority
	b = literal(append(b, 0x04), target)                                                        // :path
	b = literal(literal(append(b, 0x00), "authorization"), "Bearer "+token)
	return literal(literal(append(b, 0x00), "accept"), "text/event-stream")
}

func appendH2Frame(dst []byte, kind, flags byte, stream uint32, p []byte) []byte {
	dst = append(dst, byte(len(p)>>16), byte(len(p)>>8), byte(len(p)), kind, flags)
	return append(binary.BigEndian.AppendUint32(dst, stream), p...)
}

// h2Streams is the framing of a connection: each stream is a wire of its own
// to what its events are delivered to.
type h2Streams struct {
	members []*wire
	open    int     // streams that were answered
	content framing // of a stream; nil is an event stream
}

func (h *h2Streams) parse(w *wire, b []byte, deliver func(*wire, serverFrame) error) ([]byte, error) {
	return eachH2Frame(b, func(typ, flags byte, stream uint32, payload []byte) error {
		return h.frame(w, typ, flags, stream, payload, deliver)
	})
}

// eachH2Frame calls f for each whole frame (RFC 9113 4.1), and returns what is left of b.
func eachH2Frame(b []byte, f func(typ, flags byte, stream uint32, payload []byte) error) ([]byte, error) {
	const head = 9
	for len(b) >= head {
		n := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if len(b) < head+n {
			break
		}
		stream := binary.BigEndian.Uint32(b[5:]) &^ (1 << 31)
		if err := f(b[3], b[4], stream, b[head:head+n]); err != nil {
			return nil, err
		}
		b = b[head+n:]
	}
	return b, nil
}

func (h *h2Streams) frame(w *wire, kind, flags byte, stream uint32, p []byte, deliver func(*wire, serverFrame) error) error {
	switch kind {
	case h2Settings, h2Ping:
		if flags&h2Ack != 0 {
			return nil
		}
		if kind == h2Settings {
			p = nil
		}
		return w.write(appendH2Frame(nil, kind, h2Ack, 0, p))
	case h2Reset, h2GoAway:
		return fmt.Errorf("the server ended stream %d: frame %x %x", stream, kind, p)
	case h2Headers:
		if len(p) == 0 || p[0] != h2Status200 || flags&h2EndStream != 0 {
			return fmt.Errorf("stream %d was not opened: %x", stream, p)
		}
		h.open++
	case h2Data:
		return h.data(flags, stream, p, deliver)
	}
	return nil
}

func (h *h2Streams) data(flags byte, stream uint32, p []byte, deliver func(*wire, serverFrame) error) error {
	i := int(stream / 2)
	if flags&(h2EndStream|h2Padded) != 0 || stream%2 == 0 || i >= len(h.members) {
		return errors.New("a stream ended, or is none of this client's, or is padded")
	}
	m := h.members[i]
	content := h.content
	if content == nil {
		content = plainStream{}
	}
	rest, err := content.parse(m, append(m.carry, p...), deliver)
	m.carry = append(m.carry[:0], rest...)
	return err
}
