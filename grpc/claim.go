package commgrpc

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/listen"
)

// preface is what every HTTP/2 client sends first (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// firstSettings is the server's connection preface: clients may wait for it before they send a request. Whoever gets the
// connection sends another with its own settings, so this one promises what all keep: the protocol's defaults (RFC 9113,
// section 6.5.2), at most so many streams at once, and so many bytes of header. A client that knows these refuses a call
// with more by itself; one that does not loses its connection.
func firstSettings(streams, header int) []byte {
	b := []byte("\x00\x00\x0c\x04\x00\x00\x00\x00\x00" + "\x00\x03")
	b = binary.BigEndian.AppendUint32(b, uint32(min(streams, maxWebStreams)))
	return binary.BigEndian.AppendUint32(append(b, "\x00\x06"...), uint32(min(header, maxLookBlock)))
}

// maxWebStreams is how many streams net/http serves on one connection at once.
const maxWebStreams = 250

// settingsAck acknowledges the client's SETTINGS.
const settingsAck = "\x00\x00\x00\x04\x01\x00\x00\x00\x00"

// calmDown is GOAWAY with the last stream 0 and ENHANCE_YOUR_CALM (RFC 9113, sections 6.8 and 7).
const calmDown = "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x0b"

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// errFull is why a connection for the native transport was refused.
var errFull = errors.New("commgrpc: as many connections as max_connections or max_connections_per_addr allow")

// claim looks at a new connection until it is clear who is to serve it. What is no HTTP/2 is net/http's from its first
// byte that differs, and so is an HTTP/2 connection that begins with anything but a gRPC library's call.
func (s *server) claim(ctx context.Context, c comm.PeekConn) (taken bool, err error) {
	if t := c.TLS(); t != nil && t.NegotiatedProtocol == "http/1.1" {
		return false, nil
	}
	if is, _ := listen.HasPrefix(c, preface); !is {
		if c.TLS() != nil && c.TLS().NegotiatedProtocol == "h2" {
			return true, c.Replay().Close() // net/http would answer in HTTP/1.1, RFC 9113, section 3.4
		}
		return false, nil // net/http says what is wrong with a short one
	}
	conn := c.Replay()
	seen, err := look(ctx, conn, firstSettings(s.p.conf.MaxConcurrentStreams, int(s.p.conf.MaxHeaderSize)))
	if err != nil {
		return false, err
	}
	return s.handOver(c, conn, seen)
}

// handOver gives a connection that was looked at to who is to serve it.
func (s *server) handOver(c comm.PeekConn, conn net.Conn, seen *lookahead) (taken bool, err error) {
	var whole net.Conn = &rewound{Conn: bare(conn), first: seen.seen}
	if seen.acked > 0 {
		whole = newAcknowledged(whole, seen.acked, seen.again)
	}
	if s.isNative(seen.verdict) {
		switch s.door.put(whole, c.TLS()) {
		case entered:
			return true, nil
		case full:
			_, _ = conn.Write([]byte(calmDown))
			return false, errFull
		case shut: // net/http's answers tell the client to go
		}
	}
	if !seen.again {
		whole = &ackless{Conn: whole}
	}
	c.Pass(whole)
	return false, nil
}

// isNative decides between the native transport and net/http, which serves everything. On an address of the provider's
// own, whoever says nothing yet is going to call.
func (s *server) isNative(v verdict) bool {
	return v == verdictCall || v == verdictSilent && s.p.Address() != ""
}

// look reads to the first request, until ctx ends.
func look(ctx context.Context, conn net.Conn, settings []byte) (*lookahead, error) {
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
	if _, err := conn.Write(settings); err != nil {
		return nil, err
	}
	l := &lookahead{ack: func() error { _, err := conn.Write([]byte(settingsAck)); return err }}
	err := l.read(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		l.verdict, err = verdictSilent, nil
	}
	return l, err
}
