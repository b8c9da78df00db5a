package commgrpc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// serverCodec is the codec of the server: that of every gRPC message in protobuf, except that what the hub
// sends is encoded already, once for all streams, and that what its clients send is taken apart by the hub.
type serverCodec struct{ encoding.CodecV2 }

// newServerCodec is for grpc.ForceServerCodecV2.
func newServerCodec() encoding.CodecV2 { return serverCodec{encoding.GetCodecV2(proto.Name)} }

// Marshal passes a batch on as it is.
func (c serverCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(*batch); ok {
		return b.parts, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal keeps what is for an inbound as it is. It does not fail for one: that would end the stream.
func (c serverCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if in, ok := v.(*inbound); ok {
		in.take(data)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// batch is one ConnectResponse or SubscribeResponse: elements of its field "frames", one after the other, each
// shared with all streams that send the same. gRPC keeps the parts until they are written, but not the batch.
type batch struct {
	parts mem.BufferSlice
	size  int               // with what gRPC puts before it
	ready *grpc.PreparedMsg // the same, where it is one frame that another stream has sent already; else nil
}

// message is what gRPC sends.
func (b *batch) message() any {
	if b.ready != nil {
		return b.ready
	}
	return b
}

// with is the batch with a mark behind it. b itself may be another stream's too.
func (b *batch) with(m *mark) *batch {
	parts := append(slices.Clip(b.parts), mem.NewBuffer(&markMemory, m))
	return &batch{parts: parts, size: b.size}
}

// messageHeader is what gRPC puts before each message.
const messageHeader = 5

// reset makes the batch an empty one, with room for n frames.
func (b *batch) reset(n int) { *b = batch{parts: make(mem.BufferSlice, 0, n), size: messageHeader} }

// add appends the bytes of a frame in frameFormat.
func (b *batch) add(frame []byte) {
	b.parts = append(b.parts, mem.SliceBuffer(frame))
	b.size += len(frame)
}

// framesField is the number of the one field of all messages that carry frames.
const framesField protowire.Number = 1

// frameFormat is the bytes of a frame as one element of the field "frames": tag, length, Frame. Elements that
// follow one another are a message, so what is the same for many connections is encoded once.
type frameFormat struct{}

// format is boxed once.
var format comm.Format = frameFormat{}

// Append implements comm.Format.
func (frameFormat) Append(dst []byte, f *comm.Frame) ([]byte, error) {
	w := toWire(f)
	size := protobuf.Size(w)
	if dst == nil {
		dst = make([]byte, 0, protowire.SizeTag(framesField)+protowire.SizeBytes(size))
	}
	dst = protowire.AppendTag(dst, framesField, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	return protobuf.MarshalOptions{UseCachedSize: true}.MarshalAppend(dst, w)
}

// inbound is a message of a client as it came. Its frames are taken out one by one, so that a client cannot have
// the gateway hold more than it has sent.
type inbound struct {
	held  mem.Buffer // nil if there is none
	rest  []byte     // of held, not yet taken
	size  int        // of the message
	taken int        // frames
}

// take keeps a message.
func (in *inbound) take(data mem.BufferSlice) {
	in.held = data.MaterializeToBuffer(mem.DefaultBufferPool())
	in.rest = in.held.ReadOnlyData()
	in.size = len(in.rest)
}

// free lets the message go.
func (in *inbound) free() {
	if in.held != nil {
		in.held.Free()
	}
	*in = inbound{}
}

// next returns the bytes of the next frame, valid until free; ok is false behind the last one. A *comm.FrameError
// is the end of a message that is none.
func (in *inbound) next() (frame []byte, ok bool, err error) {
	for len(in.rest) > 0 {
		num, typ, n := protowire.ConsumeTag(in.rest)
		if n < 0 {
			return nil, false, in.broken(n)
		}
		value := in.rest[n:]
		if num == framesField && typ == protowire.BytesType {
			frame, m := protowire.ConsumeBytes(value)
			if m < 0 {
				return nil, false, in.broken(m)
			}
			in.rest = value[m:]
			in.taken++
			return frame, true, nil
		}
		m := protowire.ConsumeFieldValue(num, typ, value)
		if m < 0 {
			return nil, false, in.broken(m)
		}
		in.rest = value[m:]
	}
	if in.held != nil && in.taken == 0 {
		in.taken = -1 // told once
		return nil, false, badFrame("", "a message without frames")
	}
	return nil, false, nil
}

// broken gives up the rest of the message.
func (in *inbound) broken(n int) error {
	in.rest, in.taken = nil, -1
	return badFrame("", "no message of "+protoPackage+": "+protoText(protowire.ParseError(n)))
}

// protoPackage is the package of the messages.
const protoPackage = "comm.v1"

// protoText is what package proto says, without its name, and without the spaces that it varies.
func protoText(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimPrefix(text, "proto: ")
}

// parseFrame decodes one frame. Its error is a *comm.FrameError. Fields that this version does not know are
// ignored. The frame does not retain data.
func parseFrame(data []byte) (*comm.Frame, error) {
	var w commv1.Frame
	if err := (protobuf.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &w); err != nil {
		return nil, badFrame(lateID(data), "no frame of "+protoPackage+": "+protoText(err))
	}
	f, err := fromWire(&w)
	if err == nil {
		return f, nil
	}
	id := ""
	if isID(w.GetId()) {
		id = w.GetId()
	}
	return nil, frameError(id, err)
}

// frameError is err with the frame's id, as the *comm.FrameError that the client is told.
func frameError(id string, err error) *comm.FrameError {
	if fe, ok := errors.AsType[*comm.FrameError](err); ok {
		return &comm.FrameError{Code: fe.Code, ID: id, Text: fe.Text}
	}
	if me, ok := errors.AsType[*comm.MessageError](err); ok {
		return &comm.FrameError{Code: comm.CodeBadMessage, ID: id, Text: me.Error()}
	}
	return badFrame(id, err.Error())
}

func badFrame(id, format string, args ...any) *comm.FrameError {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &comm.FrameError{Code: comm.CodeBadFrame, ID: id, Text: format}
}

// lateID finds the id of a frame that cannot be decoded, so that the error can name it.
func lateID(data []byte) (id string) {
	for len(data) > 0 {
		num, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return id
		}
		m := protowire.ConsumeFieldValue(num, typ, data[n:])
		if m < 0 {
			return id
		}
		if num == idField && typ == protowire.BytesType {
			if b, _ := protowire.ConsumeBytes(data[n:]); isID(string(b)) {
				id = string(b)
			}
		}
		data = data[n+m:]
	}
	return id
}

// idField is the number of Frame.id.
const idField protowire.Number = 2
