package commgrpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
)

// frameHead is how long the head of a message is: a byte of flags and four of length (gRPC over HTTP2,
// Length-Prefixed-Message).
const frameHead = 5

// maxAhead is how many reads of a body may wait for the handler. The gRPC server keeps a buffer of 16 KiB
// for each, however little is in it.
const maxAhead = 16

var errBodyClosed = errors.New("commgrpc: body closed by handler")

// pacedBody gives a request's body to the gRPC server no faster than its handler takes the messages. Where
// the server serves a request of net/http, it reads the whole body as fast as it comes and queues it
// without a bound, in a buffer for each piece.
//
// A read therefore returns a full buffer or the end of a message, so that tiny pieces cannot each take a
// buffer of their own; and when maxAhead reads are not taken, the next one waits. What waits is at most
// that, and one message under way.
type pacedBody struct {
	body     io.ReadCloser
	max      int  // bytes of the largest message that the server accepts
	streamed bool // the method takes a stream of messages, and taken is called

	// Of the goroutine that reads.
	head     [frameHead]byte
	have     int  // bytes of head that have come
	left     int  // bytes of the message's content that have not
	over     bool // a message is longer than max
	messages int  // that have ended, in all
	reads    int  // since the last one with the end of a message

	mu     sync.Mutex
	ahead  []pacedRead   // not taken by the handler, in order
	total  int           // reads of all in ahead
	wake   chan struct{} // told when one was taken
	closed chan struct{}
	close  func()
}

// pacedRead is how many reads it took to get to the ends of some messages.
type pacedRead struct{ reads, messages int }

func newPacedBody(body io.ReadCloser, most int, streamed bool) *pacedBody {
	b := &pacedBody{body: body, max: most, streamed: streamed, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	b.close = sync.OnceFunc(func() { close(b.closed) })
	return b
}

// Read waits until there is room, and reads until p is full or a message has ended.
func (b *pacedBody) Read(p []byte) (n int, err error) {
	if err := b.await(); err != nil {
		return 0, err
	}
	messages := 0
	for n < len(p) && messages == 0 && !b.over && err == nil {
		var m int
		m, err = b.body.Read(p[n:])
		messages = b.follow(p[n : n+m])
		n += m
	}
	if n > 0 {
		b.count(messages)
	}
	if n > 0 && err == io.EOF {
		err = nil // it comes again
	}
	return n, err
}

// await returns when the handler has taken enough. A message that the server refuses for its length is
// not read at all.
func (b *pacedBody) await() error {
	for {
		b.mu.Lock()
		room := b.total < maxAhead || !b.streamed
		b.mu.Unlock()
		switch {
		case b.over: // of which the server has the head: it refuses it, unless it has been given another bound
			return fmt.Errorf("commgrpc: a message is larger than max_recv_msg_size, %d bytes", b.max)
		case !b.streamed && b.messages > 1:
			return fmt.Errorf("commgrpc: more than one message for a method that takes one: %w", io.ErrUnexpectedEOF)
		case room:
			return nil
		}
		select {
		case <-b.wake:
		case <-b.closed:
			return errBodyClosed
		}
	}
}

// follow finds the ends of messages in what was read.
func (b *pacedBody) follow(p []byte) (messages int) {
	for len(p) > 0 {
		if b.have < frameHead {
			n := copy(b.head[b.have:], p)
			b.have, p = b.have+n, p[n:]
			if b.have < frameHead {
				return messages
			}
			size := binary.BigEndian.Uint32(b.head[1:])
			if int64(size) > int64(b.max) {
				b.over = true
				return messages
			}
			b.left = int(size)
		}
		n := min(b.left, len(p))
		b.left, p = b.left-n, p[n:]
		if b.left == 0 {
			b.have = 0
			messages++
		}
	}
	return messages
}

func (b *pacedBody) count(messages int) {
	b.messages += messages
	b.reads++
	if messages == 0 || !b.streamed {
		return // one message cannot be too many reads: its length is bounded, and they are full
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead = append(b.ahead, pacedRead{b.reads, messages})
	b.total += b.reads
	b.reads = 0
}

// taken says that the handler has taken a message.
func (b *pacedBody) taken() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ahead) == 0 {
		return
	}
	if b.ahead[0].messages--; b.ahead[0].messages > 0 {
		return
	}
	b.total -= b.ahead[0].reads
	b.ahead = append(b.ahead[:0], b.ahead[1:]...) // at most maxAhead, so that it stays in place
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Close ends a read that waits.
func (b *pacedBody) Close() error {
	b.close()
	return b.body.Close()
}

// paceStream is the interceptor that tells the body of a request which messages its handler has taken. On
// connections of the gRPC server's own, HTTP/2's flow control does that.
func paceStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if x := exchangeOf(ss.Context()); x != nil && x.body.streamed {
		ss = &pacedStream{ss, x.body}
	}
	return next(srv, ss)
}

type pacedStream struct {
	grpc.ServerStream
	body *pacedBody
}

// RecvMsg takes a message.
func (s *pacedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	s.body.taken()
	return err
}
