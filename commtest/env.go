package commtest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// patience bounds every wait of the suite; under fake time it passes at once when nothing can come.
const patience = 30 * time.Second

// env is one row's world: a manager with the provider, and what makes clients.
type env struct {
	*testing.T
	setup Setup
	mode  mode
	log   *logs

	m        *comm.Manager
	endpoint Endpoint
}

func newEnv(t *testing.T, s Setup, m mode) *env {
	return &env{T: t, setup: s, mode: m, log: &logs{}}
}

// start makes the manager and starts it. Rows call it once, with the options that they are about.
func (e *env) start(opts ...comm.Option) *comm.Manager {
	e.Helper()
	e.m = e.manager(e.setup.Provider, opts...)
	e.endpoint = e.reach(e.m, e.setup.Provider.Name())
	return e.m
}

// manager makes and starts a manager of the row's mode; it ends with the row.
func (e *env) manager(p comm.Provider, opts ...comm.Option) *comm.Manager {
	e.Helper()
	all := []comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithProvider(p), comm.WithLogger(slog.New(slog.NewTextHandler(e.log, nil))),
		comm.WithMaxConnectionsPerAddr(10_000), comm.WithHandshakeRate(100_000, 100_000),
	}
	if server, _ := e.mode.configs(e); server != nil {
		all = append(all, comm.WithTLS(server))
	}
	if e.mode.memory {
		all = append(all, comm.WithInMemory())
	}
	m, err := comm.New(append(all, opts...)...)
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		if err := m.Close(); err != nil {
			e.Errorf("close: %v", err)
		}
	})
	if err := m.Start(e.Context()); err != nil {
		e.Fatal(err)
	}
	return m
}

// reach returns where a manager's provider is served.
func (e *env) reach(m *comm.Manager, provider string) Endpoint {
	e.Helper()
	addrs, err := m.Addrs(provider)
	if err != nil || len(addrs) == 0 {
		e.Fatalf("provider %q has no address: %v", provider, err)
	}
	dial := new(net.Dialer).DialContext
	if e.mode.memory {
		dial = m.DialContext
	}
	_, client := e.mode.configs(e)
	packets := func(ctx context.Context) (net.PacketConn, error) {
		c, err := m.ListenPacket(ctx, "udp", "127.0.0.1:0")
		if err != nil || !e.mode.memory {
			return c, err
		}
		return &followingPackets{c, m, provider, addrs[0]}, nil
	}
	return Endpoint{Addr: addrs[0], DialContext: dial, ListenPacket: packets, TLS: client}
}

// eventually waits until ok.
func (e *env) eventually(what string, ok func() bool) {
	e.Helper()
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond; !ok(); wait = min(2*wait, 20*time.Millisecond) {
		if time.Now().After(deadline) {
			e.Fatalf("waited %v for: %s", patience, what)
		}
		time.Sleep(wait)
	}
}

// message makes a message.
func (e *env) message(typ string, content any) *comm.Message {
	e.Helper()
	m, err := comm.NewMessage(typ, content)
	if err != nil {
		e.Fatal(err)
	}
	return m
}

// send sends content as a message of type "n" and checks the counts of the delivery.
func (e *env) send(t comm.Target, content any, matched int, opts ...comm.SendOption) comm.Delivery {
	e.Helper()
	d, err := e.m.Send(e.Context(), t, e.message("n", content), opts...)
	if err != nil {
		e.Fatalf("send to %v: %v", t, err)
	}
	if d.Matched != matched || d.Matched != d.Queued+d.Dropped+d.Closed {
		e.Fatalf("send to %v: %+v, want %d matched, and queued, dropped and closed to add up", t, d, matched)
	}
	return d
}

// bounded is a context for one step of a client.
func (e *env) bounded() context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.Context()), patience)
	e.Cleanup(cancel)
	return ctx
}

// logs keeps what the manager logs.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// show is a frame for messages of a failed test.
func show(f *comm.Frame) string {
	if f == nil {
		return "nothing"
	}
	b, err := comm.JSON().AppendFrame(nil, f)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
