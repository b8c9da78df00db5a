package commgrpc

import (
	"errors"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// SendRaw sends bytes in the place of a frame through a carrier of Dialer.
func SendRaw(c comm.Carrier, frame []byte) error {
	return SendMessage(c, protowire.AppendBytes(protowire.AppendTag(nil, framesField, protowire.BytesType), frame))
}

// SendMessage sends bytes in the place of a ConnectRequest.
func SendMessage(c comm.Carrier, message []byte) error {
	g, ok := c.(*carrier)
	if !ok {
		return errors.New("no carrier of gRPC")
	}
	m := new(commv1.ConnectRequest)
	m.ProtoReflect().SetUnknown(message) // written as it is
	g.sending <- struct{}{}
	defer func() { <-g.sending }()
	return g.out.Send(m)
}

// AppendFrame and ParseFrame are the two ways of the codec, the first as an element of the field "frames".
var (
	ParseFrame  = parseFrame
	FrameFormat = format
	ToWire      = toWire
	FromWire    = fromWire
)

// TakeFrames takes all frames out of a message.
func TakeFrames(message []byte) (frames [][]byte, err error) {
	var in inbound
	in.take(mem.BufferSlice{mem.SliceBuffer(message)})
	defer in.free()
	for {
		b, ok, err := in.next()
		if err != nil || !ok {
			return frames, err
		}
		frames = append(frames, b)
	}
}
