package commgrpc

import (
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"
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

// What a look at a connection comes to.
const (
	VerdictOther  = verdictOther
	VerdictCall   = verdictCall
	VerdictSilent = verdictSilent
)

// Bounds of a look.
const (
	MaxLookFrames = maxLookFrames
	MaxLookBytes  = maxLookBytes
	MaxLookBlock  = maxLookBlock
)

// Preface is the client's.
const Preface = preface

// Look reads to the first request.
func Look(r io.Reader) (seen []byte, v verdict, err error) {
	l := new(lookahead)
	err = l.read(r)
	return l.seen, l.verdict, err
}

// Rewound yields first before c.
func Rewound(c net.Conn, first []byte) net.Conn { return &rewound{Conn: c, first: first} }

// Ackless is c without the first acknowledgement of SETTINGS.
func Ackless(c net.Conn) net.Conn { return &ackless{Conn: c} }

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

// Acknowledged is newAcknowledged.
func Acknowledged(c net.Conn, greeting int, again bool) net.Conn {
	return newAcknowledged(c, greeting, again)
}

// NativeConns is how many connections the native transport has.
func (p *Provider) NativeConns() int64 {
	if s := p.current(); s != nil {
		return s.door.open.Load()
	}
	return 0
}

// ConfigOf is what a provider's configuration has come to.
func ConfigOf(p *Provider) Config { return p.conf }

// Guard is the interceptor of a running provider's unary calls, over the native transport.
func Guard(p *Provider) grpc.UnaryServerInterceptor { return p.current().newGuard(true).unary }
