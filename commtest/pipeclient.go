package commtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// lines reads lines of bounded length. A line that a deadline interrupts goes on with the next call.
type lines struct {
	r    *bufio.Reader
	max  int
	part []byte
	n    int // bytes read since taken was last asked
}

func newLines(conn net.Conn, max int) *lines {
	return &lines{r: bufio.NewReaderSize(conn, 4<<10), max: max}
}

// next returns the next line without its end; it is valid until the next call.
func (l *lines) next() ([]byte, error) {
	if n := len(l.part); n > 0 && l.part[n-1] == '\n' {
		l.part = l.part[:0]
	}
	for {
		chunk, err := l.r.ReadSlice('\n')
		l.part = append(l.part, chunk...)
		l.n += len(chunk)
		if len(l.part) > l.max+1 {
			return nil, lineError(l.max)
		}
		if err == nil {
			return l.part[:len(l.part)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// taken returns how many bytes were read since the last call.
func (l *lines) taken() (n int) {
	n, l.n = l.n, 0
	return n
}

// Dialer returns a dialer that reaches the pipe in memory, without an address.
func (p *Pipe) Dialer() comm.Dialer {
	return pipeDialer(func(context.Context) (net.Conn, error) { return p.connect() })
}

// PipeDialer returns a dialer that reaches a Pipe over the network of an Endpoint.
func PipeDialer(e Endpoint) comm.Dialer {
	return pipeDialer(func(ctx context.Context) (net.Conn, error) {
		conn, err := e.DialContext(ctx, "tcp", e.Addr)
		if err != nil || e.TLS == nil {
			return conn, err
		}
		conf := e.TLS.Clone()
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(e.Addr)
		}
		c := tls.Client(conn, conf)
		if err := c.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return c, nil
	})
}

type pipeDialer func(ctx context.Context) (net.Conn, error)

func (pipeDialer) Name() string { return PipeName }

// Dial connects and sends hello.
func (d pipeDialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	conn, err := d(ctx)
	if err != nil {
		return nil, err
	}
	c := &pipeCarrier{conn: conn, in: newLines(conn, 64<<20)}
	if err := c.Send(ctx, hello); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

type pipeCarrier struct {
	conn net.Conn
	in   *lines
	mu   sync.Mutex // held during a write

	largest atomic.Int64 // bytes of a frame that the server takes; 0 until welcome
}

// longAgo ends whatever waits for a deadline.
var longAgo = time.Unix(1, 0)

// Send writes one frame.
func (c *pipeCarrier) Send(ctx context.Context, f *comm.Frame) error {
	b, err := lineFormat{}.Append(nil, f)
	if err == nil {
		err = comm.CheckFrameSize(len(b)-1, int(c.largest.Load())) // without the line's end
	}
	if err != nil {
		return err
	}
	return c.sendRaw(ctx, b)
}

func (c *pipeCarrier) sendRaw(ctx context.Context, b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { c.conn.SetWriteDeadline(longAgo) })
	_, err := c.conn.Write(b)
	if !stop() && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Receive reads one frame.
func (c *pipeCarrier) Receive(ctx context.Context) (*comm.Frame, error) {
	stop := context.AfterFunc(ctx, func() { c.conn.SetReadDeadline(longAgo) })
	defer stop()
	line, err := c.in.next()
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	f, err := comm.JSON().ParseFrame(line)
	if err == nil && f.Op == comm.OpWelcome {
		c.largest.Store(int64(f.Welcome.MaxMessage))
	}
	return f, err
}

// Close hangs up.
func (c *pipeCarrier) Close(context.Context) error { return c.conn.Close() }

// PipeSendRaw sends bytes in the place of a frame through a carrier of a pipe: see Setup.SendRaw.
func PipeSendRaw(ctx context.Context, c comm.Carrier, data []byte) error {
	p, ok := c.(*pipeCarrier)
	if !ok {
		return errors.New("commtest: not a carrier of a pipe")
	}
	return p.sendRaw(ctx, append(bytes.ReplaceAll(data, []byte("\n"), []byte(" ")), '\n')) // a line a frame
}
