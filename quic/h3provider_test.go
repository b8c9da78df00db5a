package commquic_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/devcert"
	"github.com/anasamu/comm/internal/memnet"
	commquic "github.com/anasamu/comm/quic"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// tlsGateway is a manager under TLS with the providers given, at a port of its own.
type tlsGateway struct {
	*comm.Manager
	client *tls.Config
}

func newGateway(t *testing.T, providers ...comm.Provider) *tlsGateway {
	t.Helper()
	return gatewayOf(t, comm.WithProvider(providers...), comm.WithOpenAccess())
}

func gatewayOf(t *testing.T, opts ...comm.Option) *tlsGateway {
	t.Helper()
	cert, err := devcert.New()
	if err != nil {
		t.Fatal(err)
	}
	m, err := comm.New(append(opts, comm.WithAddr("127.0.0.1:0"), comm.WithLogger(quiet),
		comm.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert.TLS}}))...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(within(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return &tlsGateway{m, cert.Client()}
}

func (g *tlsGateway) addr(t *testing.T, provider string) string {
	t.Helper()
	list, err := g.Addrs(provider)
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	return list[0]
}

func (g *tlsGateway) h3(t *testing.T) *http3.Transport {
	t.Helper()
	tr := &http3.Transport{TLSClientConfig: g.client, EnableDatagrams: true}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

func (g *tlsGateway) tcp(t *testing.T) *http.Transport {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: g.client, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// What the manager serves is reached over HTTP/3 at the same port, and clients over TCP are told so.
func TestHTTP3SharesTheManagersPort(t *testing.T) {
	t.Parallel()
	g := newGateway(t, commhttp.New(), sse.New(), ws.New(), commquic.New())
	addr := g.addr(t, "http")
	_, port, _ := net.SplitHostPort(addr)
	h3, tcp := g.h3(t), g.tcp(t)
	if resp, got := get(t, h3, http.MethodGet, "https://"+addr+"/livez", ""); resp.StatusCode != http.StatusOK || resp.ProtoMajor != 3 || resp.Header.Get("Alt-Svc") != "" {
		t.Error(resp.Status, resp.Proto, got, resp.Header)
	}
	resp, _ := get(t, tcp, http.MethodGet, "https://"+addr+"/livez", "")
	if resp.ProtoMajor != 2 || resp.Header.Get("Alt-Svc") != `h3=":`+port+`"; ma=86400` {
		t.Error(resp.Proto, resp.Header)
	}
	r := mustRequest(t, "https://"+addr+"/events?group=lobby")
	stream, err := h3.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), `"op":"welcome"`) {
	}
	if lines.Err() != nil || stream.StatusCode != http.StatusOK {
		t.Error(stream.Status, lines.Err())
	}
	c, _, err := ws.Dial(within(t), "wss://"+addr+"/ws", ws.WithRoundTripper(commquic.ExtendedConnect(h3)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if _, b, err := c.Read(within(t), nil); err != nil || !strings.Contains(string(b), `"op":"welcome"`) {
		t.Errorf("%s %v", b, err)
	}
	_ = stream.Body.Close() // streams under way would be waited for
	_ = c.CloseNow()
	if err := g.Stop(within(t), "quic"); err != nil {
		t.Fatal(err)
	}
	if resp, _ := get(t, tcp, http.MethodGet, "https://"+addr+"/livez", ""); resp.Header.Get("Alt-Svc") != "" {
		t.Error(resp.Header)
	}
}

// A provider at an address of its own serves the manager's routes there, over HTTP/3 and over TCP.
func TestHTTP3AtItsOwnAddress(t *testing.T) {
	t.Parallel()
	g := newGateway(t, commhttp.New(), commquic.New(commquic.WithAddr(freePort(t))))
	own, main := g.addr(t, "quic"), g.addr(t, "http")
	if own == main {
		t.Fatal(own)
	}
	h3, tcp := g.h3(t), g.tcp(t)
	if resp, _ := get(t, h3, http.MethodGet, "https://"+own+"/livez", ""); resp.StatusCode != http.StatusOK || resp.ProtoMajor != 3 {
		t.Error(resp.Status, resp.Proto)
	}
	if resp, _ := get(t, tcp, http.MethodGet, "https://"+own+"/livez", ""); resp.StatusCode != http.StatusOK || resp.Header.Get("Alt-Svc") == "" {
		t.Error(resp.Status, resp.Header)
	}
	if resp, _ := get(t, tcp, http.MethodGet, "https://"+main+"/livez", ""); resp.Header.Get("Alt-Svc") != "" {
		t.Error(resp.Header)
	}
	if resp, _ := get(t, h3, http.MethodGet, "https://"+own+"/none", ""); resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}
	if resp, _ := get(t, tcp, http.MethodGet, "https://"+main+"/wt", ""); resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}
}

// Without HTTP/3 nothing of it is offered.
func TestWithoutHTTP3(t *testing.T) {
	t.Parallel()
	g := newGateway(t, commhttp.New(), commquic.New(commquic.WithoutHTTP3()))
	conf := g.client.Clone()
	conf.NextProtos = []string{"h3"}
	if c, err := quic.DialAddr(within(t), g.addr(t, "quic"), conf, nil); err == nil {
		_ = c.CloseWithError(0, "")
		t.Error("h3 is offered")
	}
}

// A page that has the gateway's name resolve to loopback is refused over HTTP/3 too.
func TestHTTP3KnowsItsLoopback(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sse.New(), commquic.New())
	r := mustRequest(t, "https://"+g.addr(t, "sse")+"/events")
	r.Host = "rebound.example"
	r.Header.Set("Origin", "https://rebound.example")
	resp, err := g.h3(t).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
}

// A drain ends streams over HTTP/3 with their goodbye, and a request under way with its answer.
func TestHTTP3Drain(t *testing.T) {
	t.Parallel()
	g := newGateway(t, commhttp.New(), sse.New(), commquic.New())
	addr := g.addr(t, "sse")
	stream, err := g.h3(t).RoundTrip(mustRequest(t, "https://"+addr+"/events"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	read := make(chan string, 1)
	go func() { b, _ := io.ReadAll(stream.Body); read <- string(b) }()
	for active := int64(0); active == 0; time.Sleep(time.Millisecond) {
		stats, err := g.Stats("sse")
		if err != nil {
			t.Fatal(err)
		}
		active = stats.ConnectionsActive
	}
	if err := g.Drain(within(t)); err != nil {
		t.Error(err)
	}
	if b := <-read; !strings.Contains(b, `"code":"drain"`) {
		t.Errorf("%q", b)
	}
}

// A session that has said nothing is not waited for.
func TestWebTransportStopWithoutHello(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(), comm.WithHandshakeTimeout(2*patience), comm.WithDrainTimeout(2*patience))
	s, _, err := commquic.DialWebTransport(within(t), "https://"+addrOf(t, m)+"/wt", trusting()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Drain(within(t)); err != nil { // which would wait for longer
		t.Error(err)
	}
	<-s.Context().Done()
}

// wsBeside is the WebSocket provider with HTTP/3 at its address.
type wsBeside struct {
	*ws.Provider
	server *commquic.Server
	stop   func()
}

func (p *wsBeside) Start(ctx context.Context, h comm.Host) error {
	if err := p.Provider.Start(ctx, h); err != nil {
		return err
	}
	socket, err := h.ListenPacket(ctx, "udp", "")
	if err != nil {
		return err
	}
	conf := h.TLS().Clone()
	conf.NextProtos = []string{"h3"}
	tr := &quic.Transport{Conn: socket}
	l, err := tr.Listen(conf, &quic.Config{EnableDatagrams: true})
	if err != nil {
		return err
	}
	p.server = &commquic.Server{Handler: h.Handler(), Logger: quiet}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept(h.Context())
			if err != nil {
				return
			}
			go func() { _ = p.server.ServeConn(context.Background(), c) }()
		}
	}()
	p.stop = func() { _ = l.Close(); <-done; _ = tr.Close(); _ = socket.Close() }
	return nil
}

func (p *wsBeside) Stop(ctx context.Context) error {
	err := p.Provider.Stop(ctx)
	if p.server != nil {
		_ = p.server.Shutdown(ctx)
		p.stop()
		p.server = nil
	}
	return err
}

// The WebSocket provider passes the suite of providers over HTTP/3, as it is.
func TestSuiteWebSocketOverHTTP3(t *testing.T) {
	t.Parallel()
	commtest.Run(t, func(t *testing.T) commtest.Setup {
		return commtest.Setup{
			Provider: &wsBeside{Provider: ws.New()}, RealTime: true, NeedsTLS: true,
			Dialer: func(e commtest.Endpoint) comm.Dialer {
				rt := &http3.Transport{TLSClientConfig: e.TLS, Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
					return dialPackets(ctx, e, tc, qc)
				}}
				t.Cleanup(func() { _ = rt.Close() })
				return ws.Dialer("wss://"+e.Addr+"/ws", ws.WithRoundTripper(commquic.ExtendedConnect(rt)))
			},
		}
	})
}

// dialPackets makes a QUIC connection from a socket of the endpoint, which ends with it.
func dialPackets(ctx context.Context, e commtest.Endpoint, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
	socket, err := e.ListenPacket(ctx)
	if err != nil {
		return nil, err
	}
	to, err := peerAddr(e.Addr, socket)
	if err != nil {
		return nil, err
	}
	tr := &quic.Transport{Conn: socket}
	qc = qc.Clone()
	qc.HandshakeIdleTimeout = goneAfter
	c, err := tr.Dial(ctx, to, tc, qc)
	if err != nil {
		_ = tr.Close()
		_ = socket.Close()
		return nil, err
	}
	context.AfterFunc(c.Context(), func() { _ = tr.Close(); _ = socket.Close() })
	return c, nil
}

// peerAddr is an address on the network of a socket.
func peerAddr(addr string, socket net.PacketConn) (net.Addr, error) {
	if _, ok := socket.LocalAddr().(*net.UDPAddr); ok {
		return net.ResolveUDPAddr("udp", addr)
	}
	return memnet.Addr(addr), nil
}
