package comm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	body   string
	proto  string
}

// get asks and reads the whole answer.
func get(t testing.TB, c *http.Client, url string) answer {
	t.Helper()
	a, err := tryGet(t, c, url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return a
}

func tryGet(t testing.TB, c *http.Client, url string) (answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), resp.Proto}, err
}

// routed is a provider with routes of these patterns, each answering its pattern.
func routed(name string, patterns ...string) *fake {
	return &fake{name: name, onStart: func(_ context.Context, h comm.Host) error {
		for _, p := range patterns {
			if err := h.Route(p, text(name+" "+p)); err != nil {
				return err
			}
		}
		return nil
	}}
}

func TestRouteConflicts(t *testing.T) {
	for name, row := range map[string]struct{ first, second, conflict string }{
		"the same pattern":             {"GET /x", "GET /x", `"GET /x" of provider "first"`},
		"another name for a wildcard":  {"GET /x/{id}", "GET /x/{name}", `"GET /x/{id}" of provider "first"`},
		"neither is the more specific": {"/x/{id}", "GET /{kind}/y", `"/x/{id}" of provider "first"`},
		"no pattern":                   {"GET /x", "", ""},
		"an open brace":                {"GET /x", "GET /{", ""},
		"a method that is none":        {"GET /x", "G@T /x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				first, second := routed("first", row.first), routed("second", "GET /fine", row.second)
				m := newManager(t, comm.WithProvider(first, second), comm.WithRetry(3, time.Hour))
				err := m.Start(t.Context())
				re, ok := errors.AsType[*comm.RouteError](err)
				if !ok || re.Provider != "second" || re.Pattern != row.second || re.Conflict != row.conflict {
					t.Fatalf("Start: %#v (%v)", re, err)
				}
				if row.conflict == "" && re.Err == nil {
					t.Errorf("nothing says what is wrong: %v", err)
				}
				same(t, "starts: a second one cannot help", second.starts.Load(), int32(1))
				same(t, "running", []bool{m.Running("first"), m.Running("second")}, []bool{true, false})
				same(t, "the first goes on", get(t, httpClient(m), "http://gateway/x/y").status != 503, true)
				same(t, "what the second had routed", get(t, httpClient(m), "http://gateway/fine").status, 503)
			})
		})
	}
}

// A handler that was forgotten is an error at once, not a panic of every request.
func TestRouteWithoutHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t)
		err := f.host().Route("GET /nothing", nil)
		if re, ok := errors.AsType[*comm.RouteError](err); !ok || re.Pattern != "GET /nothing" {
			t.Errorf("Route: %v", err)
		}
	})
}

// A refused route changes nothing, and a pattern that is more specific than another is no conflict.
func TestRoutesWhileRunning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		for pattern, ok := range map[string]bool{"GET /fake": true, "GET /fake/{id}": true, "GET /fake/me": true, "GET /fake/{": false} {
			if err := f.host().Route(pattern, text(pattern)); (err == nil) != ok {
				t.Errorf("Route(%q): %v", pattern, err)
			}
		}
		for path, want := range map[string]string{"/fake": "GET /fake", "/fake/7": "GET /fake/{id}", "/fake/me": "GET /fake/me"} {
			same(t, path, get(t, httpClient(m), "http://gateway"+path).body, want)
		}
	})
}

// What a stopped provider served says when to come back, while its neighbours go on; started again
// it serves its new handlers under the old patterns.
func TestRoutesOfAStoppedProvider(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &fake{name: "a"}, &fake{name: "b"}
		a.onStart = func(_ context.Context, h comm.Host) error {
			return h.Route("GET /a", text(fmt.Sprint("start ", a.starts.Load())))
		}
		m := newManager(t, comm.WithProvider(a, b))
		for life := 1; life <= 2; life++ {
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			same(t, "running", get(t, httpClient(m), "http://gateway/a").body, fmt.Sprint("start ", life))
			if err := m.Stop(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			stopped := get(t, httpClient(m), "http://gateway/a")
			same(t, "stopped", []any{stopped.status, stopped.header.Get("Retry-After")}, []any{503, "1"})
			contains(t, errors.New(stopped.body), "provider a is not running")
			same(t, "its neighbour", get(t, httpClient(m), "http://gateway/b").status, 200)
		}
		s, err := m.Stats("a")
		if err != nil || s.Requests != 2 || s.RequestsFailed != 0 {
			t.Errorf("refusals are no requests of the provider: %+v, %v", s, err)
		}
	})
}

// Stop of one provider waits for its own requests, not for those of its neighbours.
func TestStopWaitsForItsRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &fake{name: "a"}, &fake{name: "b"}
		release := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{})}
		m := newManager(t, comm.WithProvider(a, b))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		answers := make(chan string, 2)
		for _, f := range []*fake{a, b} {
			if err := f.host().Route("GET /slow/"+f.name, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				<-release[f.name]
				io.WriteString(w, f.name)
			})); err != nil {
				t.Fatal(err)
			}
			go func() { answers <- get(t, httpClient(m), "http://gateway/slow/"+f.name).body }()
		}
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- m.Stop(t.Context(), "a") }()
		synctest.Wait()
		select {
		case err := <-stopped:
			t.Fatalf("Stop did not wait: %v", err)
		default:
		}
		close(release["a"])
		same(t, "the request under way", <-answers, "a")
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		close(release["b"])
		same(t, "the neighbour's request", <-answers, "b")
	})
}

// Providers without an address, and those that name the manager's, are one listener; one with an
// address of its own is another with other routes. A Host's Handler is all routes of its address.
func TestProvidersShareTheAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := &fake{name: "a"}, &fake{name: "b", addr: "127.0.0.1:7000"}, &fake{name: "c", addr: "127.0.0.1:7001"}
		m := newManager(t, comm.WithAddr("127.0.0.1:7000"), comm.WithProvider(a, b, c))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"a": "127.0.0.1:7000", "b": "127.0.0.1:7000", "c": "127.0.0.1:7001", "": "127.0.0.1:7000"} {
			addrs, err := m.Addrs(name)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "addresses of "+name, addrs, []string{want})
		}
		for url, status := range map[string]int{
			"127.0.0.1:7000/a": 200, "127.0.0.1:7000/b": 200, "127.0.0.1:7000/c": 404, "127.0.0.1:7001/c": 200, "127.0.0.1:7001/a": 404,
		} {
			same(t, url, get(t, httpClient(m), "http://"+url).status, status)
		}
		for f, paths := range map[*fake]map[string]int{a: {"/a": 200, "/b": 200, "/c": 404}, c: {"/a": 404, "/c": 200}} {
			for path, status := range paths {
				w := httptest.NewRecorder()
				f.host().Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				same(t, f.name+"'s Handler of "+path, w.Code, status)
			}
		}
	})
}

// A write deadline that one request leaves behind, its late timers too, must not cut a later request
// on the same connection.
func TestWriteDeadlineEndsWithItsRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		bound := func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
		}
		for pattern, h := range map[string]http.HandlerFunc{
			"GET /bound": func(w http.ResponseWriter, _ *http.Request) { bound(w) },
			"GET /late":  func(w http.ResponseWriter, _ *http.Request) { time.AfterFunc(time.Second, func() { bound(w) }) },
			"GET /long":  func(w http.ResponseWriter, _ *http.Request) { time.Sleep(time.Minute); io.WriteString(w, "whole") },
		} {
			if err := f.host().Route(pattern, h); err != nil {
				t.Fatal(err)
			}
		}
		for _, before := range []string{"/bound", "/late"} {
			transport := &http.Transport{DialContext: m.DialContext}
			client := &http.Client{Transport: transport}
			get(t, client, "http://gateway"+before)
			time.Sleep(1500 * time.Millisecond)
			reused := false
			r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused },
			}), "GET", "http://gateway/long", nil)
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(before, err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || string(b) != "whole" || !reused {
				t.Errorf("after %s: %q, %v, on the same connection: %v", before, b, err, reused)
			}
			resp.Body.Close()
			transport.CloseIdleConnections()
		}
	})
}

// The origin policy is the same for every provider: the same host and what is allowed.
func TestOriginPolicy(t *testing.T) {
	none, list, any := []string(nil), []string{"https://a.example", "https://*.b.example", "http://c.example:8080"}, []string{"*"}
	for _, row := range []struct {
		allowed []string
		origin  string
		ok      bool
	}{
		{none, "", true},
		{none, "http://gateway", true},
		{none, "http://GateWay", true},
		{none, "http://gateway:81", false},
		{none, "https://a.example", false},
		{none, "null", false},
		{none, "http://gateway.evil.example", false},
		{none, "gateway", false},
		{list, "http://gateway", true},
		{list, "https://a.example", true},
		{list, "HTTPS://A.example", true},
		{list, "http://a.example", false},
		{list, "https://a.example:444", false},
		{list, "https://x.b.example", true},
		{list, "https://x.y.b.example", true},
		{list, "https://b.example", false},
		{list, "https://.b.example", false},
		{list, "https://evilb.example", false},
		{list, "http://x.b.example", false},
		{list, "http://c.example:8080", true},
		{list, "http://c.example", false},
		{list, "null", false},
		{any, "https://who.example", true},
		{any, "null", true},
	} {
		t.Run(fmt.Sprint(row.allowed, " ", row.origin), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				opts := []comm.Option{comm.WithProvider(ws.New(), sse.New(), commhttp.New())}
				if row.allowed != nil {
					opts = append(opts, comm.WithAllowedOrigins(row.allowed...))
				}
				m := newManager(t, opts...)
				if err := m.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{"/ws", "/events", "/poll"} {
					r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://gateway"+path, nil)
					if row.origin != "" {
						r.Header.Set("Origin", row.origin)
					}
					if path == "/ws" {
						for _, h := range [][2]string{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}} {
							r.Header.Set(h[0], h[1])
						}
					}
					resp, err := httpClient(m).Do(r)
					if err != nil {
						t.Fatal(err)
					}
					if ok := resp.StatusCode < 400; ok != row.ok || !ok && resp.StatusCode != http.StatusForbidden {
						t.Errorf("%s: status %d", path, resp.StatusCode)
					}
					resp.Body.Close()
				}
				r := httptest.NewRequest("GET", "http://gateway/", nil)
				r.Header.Set("Origin", row.origin)
				if err := m.CheckOrigin(r); !row.ok {
					if !errors.Is(err, comm.ErrOrigin) {
						t.Errorf("CheckOrigin: %v", err)
					}
					contains(t, err, row.origin)
				}
			})
		})
	}
}
