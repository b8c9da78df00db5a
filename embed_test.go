package comm_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/memnet"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// ownServer is a service with an http.Server of its own, whose timeouts are short, and whose middleware knows its users. The
// gateway is below /rt/.
type ownServer struct {
	gw   *comm.Manager
	mux  *http.ServeMux
	srv  *http.Server
	net  *memnet.Network
	down chan error
}

type ownUser struct{}

func newOwnServer(t *testing.T, opts ...comm.Option) *ownServer {
	t.Helper()
	s := &ownServer{net: &memnet.Network{}, mux: http.NewServeMux(), down: make(chan error, 1)}
	s.gw = newManager(t, append([]comm.Option{
		comm.WithProvider(commhttp.New(commhttp.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })), ws.New(), sse.New()),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			user, _ := hs.Request.Context().Value(ownUser{}).(string)
			if user == "" {
				return comm.Identity{}, errors.New("nobody")
			}
			return comm.Identity{User: user}, nil
		}),
	}, opts...)...)
	gateway := http.StripPrefix("/rt", s.gw.Handler())
	s.mux.HandleFunc("/rt/", func(w http.ResponseWriter, r *http.Request) {
		gateway.ServeHTTP(&unwrapper{w}, r.WithContext(context.WithValue(r.Context(), ownUser{}, r.Header.Get("Own-User"))))
	})
	s.srv = &http.Server{Handler: s.mux, ReadTimeout: time.Second, WriteTimeout: time.Second, Protocols: new(http.Protocols)}
	s.srv.Protocols.SetHTTP1(true)
	s.srv.Protocols.SetUnencryptedHTTP2(true)
	l, err := s.net.Listen("own:80")
	if err != nil {
		t.Fatal(err)
	}
	go func() { s.down <- s.srv.Serve(l) }()
	t.Cleanup(func() { s.srv.Close() })
	return s
}

// unwrapper is a ResponseWriter as middleware wraps it.
type unwrapper struct{ http.ResponseWriter }

func (w *unwrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// dialers are those of every carrier, as a user, the first two over HTTP/2.
func (s *ownServer) dialers(t *testing.T, user string) []comm.Dialer {
	h := http.Header{"Own-User": {user}}
	poll := &http.Client{Transport: &http.Transport{DialContext: s.net.DialContext, DisableKeepAlives: true}}
	h2 := &http.Transport{DialContext: s.net.DialContext, Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2.CloseIdleConnections)
	return []comm.Dialer{
		sse.Dialer("http://own:80/rt/events", sse.WithHTTPClient(&http.Client{Transport: h2}), sse.WithHeader("Own-User", user)),
		commhttp.Dialer("http://own:80/rt/poll", commhttp.WithHTTPClient(&http.Client{Transport: h2}), commhttp.WithDialHeader(h)),
		ws.Dialer("ws://own:80/rt/ws", ws.WithNetDial(s.net.DialContext), ws.WithHeader(h)),
		sse.Dialer("http://own:80/rt/events", sse.WithDialContext(s.net.DialContext), sse.WithHeader("Own-User", user)),
		commhttp.Dialer("http://own:80/rt/poll", commhttp.WithHTTPClient(poll), commhttp.WithDialHeader(h)),
	}
}

// A service's own server is served whole: every carrier works below a prefix, behind middleware and over timeouts that
// are for pages, and ends in good order.
func TestHandlerInAServerOfOnesOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newOwnServer(t)
		comm.OnCall(s.gw, "who", func(_ context.Context, c *comm.Conn, _ any) (string, error) {
			return c.User() + " by " + c.Provider(), nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		if err := s.gw.Start(ctx); err != nil {
			t.Fatal(err)
		}
		go func() { ran <- s.gw.Run(ctx) }()
		var clients []*comm.Client
		states := make(chan comm.StateChange, 100)
		for _, d := range s.dialers(t, "ann") {
			c, err := comm.NewClient([]comm.Dialer{d}, comm.WithOnState(func(ch comm.StateChange) { states <- ch }))
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
			cctx, bye := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- c.Run(cctx) }()
			defer func() { bye(); <-done }()
		}
		for range 2 { // over all timeouts of the server
			for i, c := range clients {
				reply, err := c.Call(t.Context(), message(t, "who", nil))
				if err != nil {
					t.Fatalf("client %d: %v", i, err)
				}
				who, err := comm.Decode[string](reply)
				if provider := []string{"sse", "http", "websocket", "sse", "http"}[i]; err != nil || who != "ann by "+provider {
					t.Errorf("%q, %v, want ann by %s", who, err, provider)
				}
			}
			time.Sleep(time.Minute)
		}
		for len(states) > 0 {
			if ch := <-states; ch.State == comm.ClientWaiting {
				t.Errorf("a connection was lost: %v", ch.Err)
			}
		}
		stop()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown behind Run: %v", err)
		}
		if err := <-s.down; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// Before it runs, and when it has ended, the gateway has its clients come again.
func TestHandlerWithoutARunningGateway(t *testing.T) {
	t.Parallel()
	m := newManager(t, comm.WithProvider(commhttp.New(commhttp.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))))
	h := m.Handler()
	ask := func(want int, part string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/hello", nil))
		if w.Code != want || !strings.Contains(w.Body.String(), part) || want == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v %s, want %d with %q", w.Code, w.Header(), w.Body, want, part)
		}
	}
	ask(503, "does not run")
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(200, "hello")
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(503, "does not run")
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(200, "hello")
}

// While providers start one after the other, what has no route yet is not said to be nowhere.
func TestRoutesThatAreStillToCome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		open := make(chan struct{})
		slow := &fake{onStart: func(_ context.Context, h comm.Host) error {
			<-open
			return h.Route("GET /fake", text("fake"))
		}}
		m := newManager(t, comm.WithProvider(commhttp.New(commhttp.Handle("GET /page", text("page"))), slow))
		h := m.Handler()
		ask := func(path string) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			return w.Code
		}
		started := make(chan error, 1)
		go func() { started <- m.Start(t.Context()) }()
		synctest.Wait()
		same(t, "a route that is there", ask("/page"), 200)
		same(t, "one that is to come", ask("/fake"), 503)
		close(open)
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		same(t, "one that has come", ask("/fake"), 200)
		same(t, "one that never comes", ask("/later"), 404)
	})
}

// A handler of the service's own learns who asks, by the gateway's authenticator and its limits.
func TestManagerAuthenticate(t *testing.T) {
	t.Parallel()
	var seen []net.Addr
	m := newManager(t, comm.WithFailedAuthBurst(2), comm.WithTrustedProxies(netip.MustParsePrefix("10.0.0.0/8")),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			seen = append(seen, hs.RemoteAddr)
			if hs.Token == "good" && hs.Request.Header.Get("X") == "y" {
				return comm.Identity{User: "ann", Claims: 7}, nil
			}
			return comm.Identity{}, errors.New("who?")
		}))
	ask := func(token, from string) (comm.Identity, error) {
		r := httptest.NewRequest("GET", "/?position=nonsense&group=%01&access_token=good", nil)
		r.RemoteAddr = "10.1.2.3:4"
		r.Header.Set("X-Forwarded-For", from)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X", "y")
		return m.Authenticate(r)
	}
	id, err := ask("good", "192.0.2.1")
	if err != nil || id.User != "ann" || id.Claims != 7 {
		t.Fatalf("%+v, %v", id, err)
	}
	same(t, "address", seen[0].String(), "192.0.2.1:0")
	for range 2 {
		if _, err := ask("bad", "192.0.2.2"); !errors.Is(err, comm.ErrUnauthenticated) || comm.HTTPStatus(err) != 401 {
			t.Errorf("%v, want unauthenticated", err)
		}
	}
	if _, err := ask("good", "192.0.2.2"); comm.HTTPStatus(err) != 503 {
		t.Errorf("an address that has failed too often: %v", err)
	}
	if _, err := ask("good", "192.0.2.3"); err != nil {
		t.Errorf("another address: %v", err)
	}
	open := newManager(t)
	if id, err := open.Authenticate(httptest.NewRequest("GET", "/", nil)); err != nil || id.User != "" {
		t.Errorf("without an authenticator: %+v, %v", id, err)
	}
}
