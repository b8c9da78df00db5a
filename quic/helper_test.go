package commquic_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/devcert"
	commquic "github.com/anasamu/comm/quic"
)

// patience bounds every wait of a test on real sockets. That it is over is always a failure, so it is long.
const patience = time.Minute

// certificate is the servers' of these tests.
var certificate = sync.OnceValue(func() *devcert.Certificate {
	c, err := devcert.New()
	if err != nil {
		panic(err)
	}
	return c
})

// gateway starts a manager with the provider on real sockets.
func gateway(t testing.TB, p *commquic.Provider, opts ...comm.Option) *comm.Manager {
	t.Helper()
	all := []comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithProvider(p), comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithTLS(&tls.Config{Certificates: []tls.Certificate{certificate().TLS}}), comm.WithMaxConnectionsPerAddr(1000),
		comm.WithHandshakeRate(1000, 1000),
		comm.WithHeartbeat(2 * patience), // the carriers of these tests answer no ping
	}
	m, err := comm.New(append(all, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// addrOf is where the provider is served on UDP.
func addrOf(t testing.TB, m *comm.Manager) string {
	t.Helper()
	addrs, err := m.Addrs("quic")
	if err != nil || len(addrs) == 0 {
		t.Fatalf("no address: %v", err)
	}
	return addrs[len(addrs)-1]
}

// trusting are a client's options.
func trusting(opts ...commquic.DialOption) []commquic.DialOption {
	return append([]commquic.DialOption{commquic.WithTLS(certificate().Client())}, opts...)
}

// peer is a client's carrier that is welcome.
type peer struct {
	testing.TB
	comm.Carrier
	welcome *comm.Welcome
}

// dial opens a carrier and reads its welcome, and the joined frames of its groups.
func dial(t testing.TB, addr string, groups []string, opts ...commquic.DialOption) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := commquic.Dialer(addr, trusting(opts...)...).Dial(ctx, &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{Version: 1, Groups: groups}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	p := &peer{TB: t, Carrier: c}
	f := p.next()
	if f.Op != comm.OpWelcome {
		t.Fatalf("got %v, want welcome", f.Op)
	}
	p.welcome = f.Welcome
	for range groups {
		if f := p.next(); f.Op != comm.OpJoined {
			t.Fatalf("got %v, want joined", f.Op)
		}
	}
	return p
}

// next is the next frame.
func (p *peer) next() *comm.Frame {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := p.Receive(ctx)
	if err != nil {
		p.Fatalf("receive: %v", err)
	}
	return f
}

// end reads to the end and says why it was.
func (p *peer) end() (r comm.CloseReason, frames []*comm.Frame) {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		f, err := p.Receive(ctx)
		if err != nil {
			for e := err; e != nil; {
				if r, ok := e.(comm.CloseReason); ok {
					return r, frames
				}
				break
			}
			return comm.CloseReason{Kind: comm.ReasonLost, Err: err}, frames
		}
		if f.Op == comm.OpClosing {
			return comm.CloseReason{Kind: comm.ReasonOfCode(f.Code), Text: f.Text}, frames
		}
		frames = append(frames, f)
	}
}

// message makes one.
func message(t testing.TB, typ string, content any, opts ...comm.MessageOption) *comm.Message {
	t.Helper()
	m, err := comm.NewMessage(typ, content, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bare is a QUIC connection without anything on it.
func bare(t testing.TB, addr string, protocols ...string) (*quic.Conn, error) {
	t.Helper()
	conf := certificate().Client()
	conf.NextProtos = protocols
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := quic.DialAddr(ctx, addr, conf, &quic.Config{EnableDatagrams: true, MaxIdleTimeout: patience})
	if err == nil {
		t.Cleanup(func() { _ = c.CloseWithError(0, "") })
	}
	return c, err
}

// closedWith is the code and text with which the server closes c.
func closedWith(t testing.TB, c *quic.Conn) (quic.ApplicationErrorCode, string) {
	t.Helper()
	select {
	case <-c.Context().Done():
	case <-time.After(patience):
		t.Fatal("the connection stays")
	}
	ae, ok := context.Cause(c.Context()).(*quic.ApplicationError)
	if !ok || !ae.Remote {
		t.Fatalf("closed with %v", context.Cause(c.Context()))
	}
	return ae.ErrorCode, ae.ErrorMessage
}

func encode(t testing.TB, frames ...*comm.Frame) (b []byte) {
	t.Helper()
	for _, f := range frames {
		var err error
		if b, err = commquic.Codec().AppendFrame(b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func helloFrame(groups ...string) *comm.Frame {
	return &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{Version: 1, Groups: groups}}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func udp(t testing.TB) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sequence(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func listenOn(addr string) (net.PacketConn, error) { return net.ListenPacket("udp", addr) }

func socketOf(c net.PacketConn) func(context.Context) (net.PacketConn, error) {
	return func(context.Context) (net.PacketConn, error) { return c, nil }
}

// kept is how many goroutines a manager may keep for handlers and writers to come, until it is closed.
func kept() int { return max(16, 4*runtime.GOMAXPROCS(0)) }
