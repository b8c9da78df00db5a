package commquic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// There is no QUIC without TLS.
func TestNoCertificate(t *testing.T) {
	t.Parallel()
	m, err := comm.New(comm.WithInMemory(), comm.WithProvider(commquic.New()), comm.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "WithDevelopmentCertificate") {
		t.Errorf("got %v", err)
	}
}

// A provider with an address and a certificate of its own needs none of the manager's.
func TestOwnAddressAndTLS(t *testing.T) {
	t.Parallel()
	conf := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{certificate().TLS}, NextProtos: []string{"h2"}}, nil
	}}
	p := commquic.New(commquic.WithAddr("127.0.0.1:0"), commquic.WithTLS(conf), commquic.WithoutHTTP3())
	m, err := comm.New(comm.WithProvider(p), comm.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if addrs, err := m.Addrs("quic"); err != nil || len(addrs) != 1 {
		t.Errorf("addresses %q, %v: want one, on UDP alone", addrs, err)
	}
	dial(t, addrOf(t, m), nil)
}

// On the manager's address it has the manager's port.
func TestSharesThePort(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New())
	if addrs, err := m.Addrs("quic"); err != nil || len(addrs) != 2 || addrs[0] != addrs[1] {
		t.Errorf("addresses %q, %v: want one, on TCP and UDP", addrs, err)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]commquic.Option{
		"WithAddr":                 commquic.WithAddr("nowhere"),
		"port":                     commquic.WithPort(70000),
		"host":                     commquic.WithHost("[::1]:3"),
		"WithTLS":                  commquic.WithTLS(nil),
		"max_streams":              commquic.WithMaxStreams(0),
		"max_sessions":             commquic.WithMaxSessions(0),
		"max_idle_timeout":         commquic.WithMaxIdleTimeout(time.Millisecond),
		"keep_alive_period":        commquic.WithKeepAlivePeriod(20 * time.Second),
		"handshake_timeout":        commquic.WithHandshakeTimeout(-1),
		"stream_window":            commquic.WithFlowControl(1, 1<<20),
		"connection_window":        commquic.WithFlowControl(1<<20, 1<<19),
		"max_lanes":                commquic.WithMaxLanes(65),
		"large_message":            commquic.WithLargeMessages(-1),
		"retry_rate":               commquic.WithRetryRate(-1),
		"max_connections_per_addr": commquic.WithMaxConnectionsPerAddr(-1),
		"an option is nil":         nil,
	} {
		if _, err := comm.New(comm.WithProvider(commquic.New(o))); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, o := range map[string]commquic.DialOption{
		"WithTLS": commquic.WithTLS(nil), "WithListenPacket": commquic.WithListenPacket(nil), "WithReadLimit": commquic.WithReadLimit(0),
		"max_streams": commquic.WithMaxStreams(-1), "an option is nil": nil,
	} {
		if _, err := commquic.Dialer("127.0.0.1:1", o).Dial(t.Context(), helloFrame()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := commquic.Dial(t.Context(), "127.0.0.1:1", o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Dial with %s: %v", name, err)
		}
	}
	p := commquic.New()
	if _, err := comm.New(comm.WithProvider(p)); err != nil {
		t.Fatal(err)
	}
	if _, err := comm.New(comm.WithProvider(p)); err == nil {
		t.Error("a provider serves two managers")
	}
}

// The option that is given last has the word.
func TestAddressOptions(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string][]commquic.Option{
		"":            nil,
		"127.0.0.1:1": {commquic.WithAddr("127.0.0.1:1")},
		":0":          {commquic.WithAddr(":0")},
		"127.0.0.1:2": {commquic.WithAddr("127.0.0.1:1"), commquic.WithPort(2)},
		"[::1]:1":     {commquic.WithAddr("127.0.0.1:1"), commquic.WithHost("::1")},
		"127.0.0.1:3": {commquic.WithHost("::1"), commquic.WithPort(1), commquic.WithAddr("127.0.0.1:3")},
	} {
		p := commquic.New(opts...)
		if _, err := comm.New(comm.WithProvider(p)); err != nil || p.Address() != want {
			t.Errorf("%q, %v, want %q", p.Address(), err, want)
		}
	}
}

// What is not served is no feature.
func TestFeatures(t *testing.T) {
	t.Parallel()
	web, sessions := []comm.Feature{comm.FeatureHTTP, comm.FeatureHTTPS}, []comm.Feature{comm.FeatureHeaders, comm.FeatureQueryParams}
	for name, test := range map[string]struct {
		opts           []commquic.Option
		http, sessions bool
	}{
		"all":                  {nil, true, true},
		"without WebTransport": {[]commquic.Option{commquic.WithWebTransportPath("")}, true, false},
		"comm/1 alone":         {[]commquic.Option{commquic.WithoutHTTP3()}, false, false},
	} {
		p := commquic.New(test.opts...)
		if _, err := comm.New(comm.WithProvider(p)); err != nil {
			t.Fatal(err)
		}
		got := p.Features()
		has := func(f comm.Feature) bool { return slices.Contains(got, f) }
		if !has(comm.FeatureBroadcasting) || !has(comm.FeatureUnicasting) || !has(comm.FeatureMulticasting) || !has(comm.FeatureRealTime) {
			t.Errorf("%s: %q", name, got)
		}
		for _, f := range web {
			if has(f) != test.http {
				t.Errorf("%s: %q is %v", name, f, has(f))
			}
		}
		for _, f := range sessions {
			if has(f) != test.sessions {
				t.Errorf("%s: %q is %v", name, f, has(f))
			}
		}
	}
}

// traces are the qlog files of a directory, which are whole when their connections have ended.
func traces(t *testing.T, dir string) (all string) {
	t.Helper()
	eventually(t, "a trace", func() bool {
		names, _ := filepath.Glob(filepath.Join(dir, "*.sqlog"))
		all = ""
		for _, name := range names {
			b, _ := os.ReadFile(name)
			all += string(b)
		}
		return strings.Contains(all, "connection_closed")
	})
	return all
}

func TestQlog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	m := gateway(t, commquic.New(commquic.WithQlog(dir)))
	p := dial(t, addrOf(t, m), nil)
	_ = p.Close(t.Context())
	if s := traces(t, dir); !strings.Contains(s, "packet_received") || !strings.Contains(s, `"server"`) {
		t.Errorf("no trace of a server: %.300s", s)
	}
}

// A socket that dies without a word: the other side learns it by its idle timeout, or as soon as it sends, by a
// stateless reset of the same key's next process.
func TestAbruptEnd(t *testing.T) {
	t.Parallel()
	var key [32]byte
	key[0] = 7
	brief := []commquic.SharedOption{commquic.WithMaxIdleTimeout(3 * time.Second), commquic.WithKeepAlivePeriod(200 * time.Millisecond)}
	t.Run("of the client", func(t *testing.T) {
		m := gateway(t, commquic.New(brief[0], brief[1]))
		socket := udp(t)
		c, err := commquic.Dialer(addrOf(t, m), trusting(brief[0], brief[1], commquic.WithListenPacket(socketOf(socket)))...).Dial(t.Context(), helloFrame())
		if err != nil {
			t.Fatal(err)
		}
		f, err := c.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn := m.Connection(f.Welcome.Conn)
		_ = socket.Close()
		if _, err := c.Receive(t.Context()); err == nil {
			t.Error("the client goes on without a socket")
		}
		_ = c.Close(t.Context())
		<-conn.Done()
		if kind := comm.ReasonOf(conn.Err()); kind != comm.ReasonHeartbeat {
			t.Errorf("closed with %v", conn.Err())
		}
	})
	t.Run("of the server", func(t *testing.T) {
		// A transport that is closed alone tells nobody: that is what the end of a process looks like.
		serve := func(addr string) (*quic.Transport, *quic.Listener) {
			socket, err := listenOn(addr)
			if err != nil {
				t.Fatal(err)
			}
			tr := &quic.Transport{Conn: socket, StatelessResetKey: (*quic.StatelessResetKey)(&key)}
			l, err := tr.Listen(&tls.Config{Certificates: []tls.Certificate{certificate().TLS}, NextProtos: []string{commquic.Protocol}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return tr, l
		}
		tr, l := serve("127.0.0.1:0")
		addr := l.Addr().String()
		c, err := commquic.Dialer(addr, trusting(commquic.WithMaxIdleTimeout(time.Minute), commquic.WithKeepAlivePeriod(200*time.Millisecond))...).Dial(t.Context(), helloFrame())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Accept(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = tr.Close()
		_ = tr.Conn.Close()
		gateway(t, commquic.New(commquic.WithAddr(addr), commquic.WithStatelessResetKey(key), commquic.WithoutHTTP3()))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		// A packet that only keeps the connection alive is too small to be answered (RFC 9000 10.3).
		if err := c.Send(ctx, &comm.Frame{Message: message(t, "n", strings.Repeat("x", 200))}); err != nil && !isReset(err) {
			t.Error(err)
		}
		if _, err := c.Receive(ctx); !isReset(err) {
			t.Errorf("got %v, want a stateless reset", err)
		}
		_ = c.Close(t.Context())
	})
}

func isReset(err error) bool {
	_, ok := errors.AsType[*quic.StatelessResetError](err)
	return ok
}

// A server that returns with the same key for tokens takes those it gave out before: no further Retry.
func TestReturnsWith0RTT(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		opts := []commquic.Option{}
		if on {
			opts = append(opts, commquic.With0RTT())
		}
		m := gateway(t, commquic.New(opts...))
		conf := certificate().Client()
		tickets := &ticketCache{tls.NewLRUClientSessionCache(4), make(chan struct{}, 16)}
		conf.ClientSessionCache = tickets
		used := false
		for i := range 3 {
			c, err := commquic.Dialer(addrOf(t, m), commquic.WithTLS(conf), commquic.With0RTT()).Dial(t.Context(), helloFrame())
			if err != nil {
				t.Fatalf("on %v, connection %d: %v", on, i, err)
			}
			if f, err := c.Receive(t.Context()); err != nil || f.Op != comm.OpWelcome {
				t.Fatalf("on %v, connection %d: %v", on, i, err)
			}
			used = commquic.ConnOf(c).ConnectionState().Used0RTT
			select {
			case <-tickets.came: // for the next connection: it comes behind the handshake
			case <-time.After(patience):
				t.Fatal("no ticket")
			}
			_ = c.Close(t.Context())
		}
		if used != on {
			t.Errorf("0-RTT is %v, and was used: %v", on, used)
		}
	}
}

// Small UDP buffers are one line that names what to set.
func TestBufferWarning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		receive, send int
		warned        bool
	}{{1 << 20, 8 << 20, true}, {8 << 20, 1 << 20, true}, {7 << 20, 7 << 20, false}} {
		var b bytes.Buffer
		commquic.TellSizes(slog.New(slog.NewTextHandler(&b, nil)), c.receive, c.send)
		if got := strings.Contains(b.String(), "net.core.rmem_max"); got != c.warned || strings.Count(b.String(), "\n") > 1 {
			t.Errorf("%+v: %q", c, b.String())
		}
	}
}

// A provider that is stopped ends its handshakes and connections, and serves again after.
func TestStop(t *testing.T) {
	t.Parallel()
	p := commquic.New(commquic.WithAddr("127.0.0.1:0"))
	m := gateway(t, p)
	c := dial(t, addrOf(t, m), nil)
	if err := p.Health(t.Context()); err != nil {
		t.Error(err)
	}
	conn, err := bare(t, addrOf(t, m), commquic.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- m.Stop(context.Background(), "quic") }()
	if r, _ := c.end(); r.Kind != comm.ReasonDrain && r.Kind != comm.ReasonNormal {
		t.Errorf("the client is told %v", r)
	}
	_ = c.Close(t.Context())
	select {
	case <-conn.Context().Done(): // by a close, or before it was accepted by a refusal
	case <-time.After(patience):
		t.Error("a connection that has said nothing stays")
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := p.Health(t.Context()); !errors.Is(err, comm.ErrStopped) {
		t.Errorf("health %v", err)
	}
	if err := m.Start(t.Context(), "quic"); err != nil {
		t.Fatal(err)
	}
	dial(t, addrOf(t, m), nil)
}
