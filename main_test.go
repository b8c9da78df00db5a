package comm_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fake is a provider whose steps the test decides; a nil step succeeds. It starts with one route,
// GET /NAME, that answers the name.
type fake struct {
	name     string
	addr     string
	tls      *tls.Config
	features []comm.Feature
	onStart  func(ctx context.Context, h comm.Host) error
	onStop   func(ctx context.Context) error
	onHealth func(ctx context.Context) error

	starts, stops, checks atomic.Int32
	mu                    sync.Mutex
	last                  comm.Host
}

func (f *fake) Name() string             { return cmp.Or(f.name, "fake") }
func (f *fake) Features() []comm.Feature { return f.features }
func (f *fake) Address() string          { return f.addr }
func (f *fake) TLSConfig() *tls.Config   { return f.tls }

func (f *fake) Start(ctx context.Context, h comm.Host) error {
	f.starts.Add(1)
	f.mu.Lock()
	f.last = h
	f.mu.Unlock()
	if f.onStart != nil {
		return f.onStart(ctx, h)
	}
	return h.Route("GET /"+f.Name(), text(f.Name()))
}

func (f *fake) Stop(ctx context.Context) error {
	f.stops.Add(1)
	if f.onStop != nil {
		return f.onStop(ctx)
	}
	return nil
}

func (f *fake) Health(ctx context.Context) error {
	f.checks.Add(1)
	f.mu.Lock()
	check := f.onHealth
	f.mu.Unlock()
	if check != nil {
		return check(ctx)
	}
	return nil
}

// healthBy changes the check of a provider that runs.
func (f *fake) healthBy(check func(ctx context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onHealth = check
}

// host is the one of the last start.
func (f *fake) host() comm.Host {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) })
}

// attach admits a client.
func (f *fake) attach(t testing.TB, hs comm.Handshake) (*comm.Conn, *peer) {
	t.Helper()
	c, p, err := f.try(t, hs)
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	return c, p
}

func (f *fake) try(t testing.TB, hs comm.Handshake) (*comm.Conn, *peer, error) {
	p := newPeer()
	if hs.Header == nil {
		hs.Header = http.Header{}
	}
	c, err := f.host().Attach(t.Context(), p, &hs)
	return c, p, err
}

// as is the handshake of a user, for gateways with the option tokenIsUser.
func as(user string) comm.Handshake { return comm.Handshake{Token: user} }

// from is the handshake of an anonymous client at an IP address.
func from(ip string) comm.Handshake {
	return comm.Handshake{RemoteAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 5000))}
}

// tokenIsUser is an authenticator that takes each token for a user's name, and "bad" for nobody's.
func tokenIsUser() comm.Option {
	return comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		if hs.Token == "bad" {
			return comm.Identity{}, errors.New("no such user")
		}
		return comm.Identity{User: hs.Token}, nil
	})
}

// peer is the client's end of a transport. Writes wait while it is stalled.
type peer struct {
	mu        sync.Mutex
	frames    []*comm.Frame
	deadlines []time.Time
	reason    *comm.CloseReason
	stall     chan struct{} // nil while writes pass
	gone      chan struct{}
}

func newPeer() *peer { return &peer{gone: make(chan struct{})} }

func (p *peer) Write(batch []comm.Outbound, deadline time.Time) (int, error) {
	p.mu.Lock()
	stall := p.stall
	p.deadlines = append(p.deadlines, deadline)
	p.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-p.gone:
			return 0, net.ErrClosed
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range batch {
		p.frames = append(p.frames, o.Frame())
	}
	return len(batch), nil
}

func (p *peer) Close(r comm.CloseReason, _ time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reason = &r
	close(p.gone)
	return nil
}

func (p *peer) halt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stall = make(chan struct{})
}

// got returns the frames of the given kinds that have come, or all.
func (p *peer) got(ops ...comm.Op) []*comm.Frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*comm.Frame
	for _, f := range p.frames {
		if len(ops) == 0 || slices.Contains(ops, f.Op) {
			list = append(list, f)
		}
	}
	return list
}

// types returns the types of the messages that have come.
func (p *peer) types() []string {
	var list []string
	for _, f := range p.got(comm.OpMessage, comm.OpCall) {
		list = append(list, f.Message.Type())
	}
	return list
}

func (p *peer) closed() *comm.CloseReason {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason
}

// newManager makes a manager in memory that the test closes.
func newManager(t testing.TB, opts ...comm.Option) *comm.Manager {
	t.Helper()
	m, err := comm.New(append([]comm.Option{comm.WithInMemory(), comm.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

// gateway is a started manager in memory with one fake provider.
func gateway(t testing.TB, opts ...comm.Option) (*comm.Manager, *fake) {
	t.Helper()
	f := &fake{}
	m := newManager(t, append(opts, comm.WithProvider(f))...)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m, f
}

// bubble runs a test in fake time, in parallel with others.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}

// message is a message that cannot be wrong.
func message(t testing.TB, typ string, content any, opts ...comm.MessageOption) *comm.Message {
	t.Helper()
	m, err := comm.NewMessage(typ, content, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// send sends and returns the delivery.
func send(t testing.TB, m *comm.Manager, to comm.Target, msg *comm.Message, opts ...comm.SendOption) comm.Delivery {
	t.Helper()
	d, err := m.Send(t.Context(), to, msg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %#v\nwant %#v", what, got, want)
	}
}

// contains reports each part that the error's text lacks.
func contains(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q:\n%v", part, err)
		}
	}
}

// events is an observer that keeps what it is told.
type events struct {
	mu  sync.Mutex
	all []comm.Event
}

func (e *events) Observe(ev comm.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) of(kinds ...comm.EventKind) []comm.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []comm.Event
	for _, ev := range e.all {
		if slices.Contains(kinds, ev.Kind) {
			list = append(list, ev)
		}
	}
	return list
}

// logs is a logger's output as lines.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) logger() comm.Option { return comm.WithLogger(slog.New(slog.NewTextHandler(l, nil))) }

// with returns the lines that contain s.
func (l *logs) with(s string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, s) {
			list = append(list, line)
		}
	}
	return list
}

// httpClient reaches the manager in memory, with a connection for each request.
func httpClient(m *comm.Manager) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: m.DialContext, DisableKeepAlives: true}}
}
