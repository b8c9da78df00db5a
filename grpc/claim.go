package commgrpc

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/listen"
)

// preface is what every HTTP/2 client sends first (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// emptySettings is the server's connection preface: clients may wait for it before they send a request. It changes
// nothing, and whoever gets the connection sends another with its own settings.
const emptySettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// claim looks at a new connection until it is clear who is to serve it. What is no HTTP/2 is net/http's from its first
// byte that differs.
func (s *server) claim(ctx context.Context, c comm.PeekConn) (taken bool, err error) {
	if t := c.TLS(); t != nil && t.NegotiatedProtocol == "http/1.1" {
		return false, nil
	}
	if is, _ := listen.HasPrefix(c, preface); !is {
		return false, nil // net/http says what is wrong with a short one
	}
	conn := c.Replay()
	look, err := s.look(ctx, conn)
	if err != nil {
		return false, err
	}
	rest := &rewound{Conn: conn, first: look.seen}
	if s.isNative(look) {
		if s.door.put(rest, c.TLS()) {
			return true, nil
		}
		return false, errors.New("commgrpc: no place for one more connection")
	}
	c.Pass(&ackless{Conn: rest})
	return false, nil
}

// isNative decides who serves a connection.
func (s *server) isNative(l *lookahead) bool {
	switch l.verdict {
	case verdictCall:
		return true
	case verdictSilent:
		return s.p.Address() != ""
	}
	return false
}

// look reads to the first request, until ctx ends.
func (s *server) look(ctx context.Context, conn net.Conn) (*lookahead, error) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(past)
		close(woken)
	})
	defer func() {
		if !stop() {
			<-woken
		}
		conn.SetDeadline(time.Time{})
	}()
	if _, err := conn.Write([]byte(emptySettings)); err != nil {
		return nil, err
	}
	l := new(lookahead)
	err := l.read(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		l.verdict, err = verdictSilent, nil
	}
	return l, err
}
