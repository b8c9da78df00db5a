package comm_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/anasamu/comm"
)

// sharer is a provider at an address of its own that shares the manager's routes, and announces another protocol
// where the listener has its port.
type sharer struct{ *fake }

func (s *sharer) Address() string    { return s.addr }
func (s *sharer) SharesRoutes() bool { return true }

func (s *sharer) AltService(listener net.Addr) string {
	if _, port, _ := net.SplitHostPort(listener.String()); port == "7001" {
		return `h3=":7001"`
	}
	return ""
}

// At an address that shares them, the manager's routes answer where the provider has none; its own go first.
func TestSharedRoutes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		main, own := routed("main", "/a", "/both"), routed("own", "/both", "/own")
		own.addr = "127.0.0.1:7001"
		m := newManager(t, comm.WithAddr("127.0.0.1:7000"), comm.WithProvider(main, &sharer{own}))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for url, want := range map[string]string{
			"127.0.0.1:7000/a": "main /a", "127.0.0.1:7000/both": "main /both", "127.0.0.1:7001/a": "main /a",
			"127.0.0.1:7001/both": "own /both", "127.0.0.1:7001/own": "own /own",
		} {
			same(t, url, get(t, httpClient(m), "http://"+url).body, want)
		}
		for _, url := range []string{"127.0.0.1:7000/own", "127.0.0.1:7001/none"} {
			same(t, url, get(t, httpClient(m), "http://"+url).status, http.StatusNotFound)
		}
	})
}

// Alt-Svc is told on responses under TLS, of HTTP/1.1 and 2, by a provider that has something to tell.
func TestAltService(t *testing.T) {
	bubble(t, func(t *testing.T) {
		main, own := routed("main", "/a"), routed("own", "/own")
		own.addr = "127.0.0.1:7001"
		m := newManager(t, comm.WithAddr("127.0.0.1:7000"), comm.WithProvider(main, &sharer{own}))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			f     *fake
			path  string
			major int
			tls   bool
			want  string
		}{
			{own, "/own", 2, true, `h3=":7001"`},
			{own, "/a", 1, true, `h3=":7001"`},
			{own, "/own", 3, true, ""},
			{own, "/own", 1, false, ""},
			{main, "/a", 2, true, ""},
		} {
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			r.ProtoMajor, r.TLS = c.major, nil
			if c.tls {
				r.TLS = new(tls.ConnectionState)
			}
			w := httptest.NewRecorder()
			c.f.host().Handler().ServeHTTP(w, r)
			same(t, c.path, w.Header().Get("Alt-Svc"), c.want)
		}
		if err := m.Stop(t.Context(), "own"); err != nil {
			t.Fatal(err)
		}
	})
}

// A claim gets requests that have no route, or one for every path alone, until its provider stops; at an address that
// shares the manager's routes too.
func TestClaimRequests(t *testing.T) {
	for _, every := range []string{"/", "/{path...}"} {
		t.Run(every, func(t *testing.T) {
			bubble(t, func(t *testing.T) { claimBeside(t, every) })
		})
	}
}

func claimBeside(t *testing.T, every string) {
	claimer := &fake{name: "claimer", onStart: func(_ context.Context, h comm.Host) error {
		return h.ClaimRequests(func(r *http.Request) bool { return r.Header.Get("Content-Type") == "text/odd" }, text("claimed"))
	}}
	own := routed("own", "/own")
	own.addr = "127.0.0.1:7001"
	main := routed("main", every, "/a", "GET /b", "POST /{$}", "/c/{rest...}")
	m := newManager(t, comm.WithAddr("127.0.0.1:7000"), comm.WithProvider(main, claimer, &sharer{own}))
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"127.0.0.1:7000/any/thing": "claimed", "127.0.0.1:7000/b": "claimed", "127.0.0.1:7001/any/thing": "claimed",
		"127.0.0.1:7000/a": "main /a", "127.0.0.1:7000/": "main POST /{$}", "127.0.0.1:7000/c/d": "main /c/{rest...}", "127.0.0.1:7001/own": "own /own",
	} {
		same(t, url, post(t, m, url, "text/odd"), want)
		if want == "claimed" {
			same(t, url+" of another kind", post(t, m, url, "text/plain"), "main "+every)
		}
	}
	if err := m.Stop(t.Context(), "claimer"); err != nil {
		t.Fatal(err)
	}
	same(t, "after its end", post(t, m, "127.0.0.1:7000/any/thing", "text/odd"), "main "+every)
}

// post sends an empty body of a kind, and returns the answer's.
func post(t *testing.T, m *comm.Manager, url, media string) string {
	t.Helper()
	resp, err := httpClient(m).Post("http://"+url, media, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
