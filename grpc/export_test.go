package commgrpc

import (
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
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

// Unlinked is a provider as in a process without package channelz.
func Unlinked(p *Provider) *Provider {
	p.channelz = nil
	return p
}

// ConfigOf is what a provider's configuration has come to.
func ConfigOf(p *Provider) Config { return p.conf }

// Guard is the interceptor of a running provider's unary calls, over the native transport.
func Guard(p *Provider) grpc.UnaryServerInterceptor { return p.current().newGuard(true).unary }

// RawCodec passes bytes on under the name of a codec.
func RawCodec(name string) encoding.CodecV2 { return rawCodec{name} }
