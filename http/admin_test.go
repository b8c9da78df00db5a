package commhttp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

func decodeBody[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.StatusCode != 200 {
		t.Fatalf("%d %s: %v", a.StatusCode, a.body, err)
	}
	return v
}

func TestAdminPage(t *testing.T) {
	t.Parallel()
	_, client := gateway(t, nil, commhttp.WithAdmin("/"))
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8",
		"/style.css": "text/css; charset=utf-8", "/comm.js": "text/javascript; charset=utf-8",
		"/comm.d.ts": "text/plain; charset=utf-8", "/comm.wt.js": "text/javascript; charset=utf-8",
	} {
		a := ask(t, client, "GET", "http://gw"+path, nil)
		equal(t, path, words(a.StatusCode, a.Header.Get("Content-Type")), "200 "+contentType)
		equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), "nosniff")
		if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		again := ask(t, client, "GET", "http://gw"+path, nil, "If-None-Match", a.Header.Get("ETag"))
		equal(t, path+" again", again.StatusCode, 304)
	}
	equal(t, "another path", ask(t, client, "GET", "http://gw/index.html", nil).StatusCode, 404)
	_, client = gateway(t, nil, commhttp.WithAdmin("/admin/"), commhttp.HandleFunc("GET /{$}", nothing))
	equal(t, "elsewhere", ask(t, client, "GET", "http://gw/admin/app.js", nil).StatusCode, 200)
	equal(t, "elsewhere", ask(t, client, "GET", "http://gw/admin/api/stats", nil).StatusCode, 200)
}

// The page is told where WebTransport is, and its policy lets it go there and nowhere else.
func TestAdminWebTransport(t *testing.T) {
	t.Parallel()
	for url, source := range map[string]string{
		"https://gw.example:8443/wt": "connect-src 'self' https://gw.example:8443;", "": "connect-src 'self';",
		"http://gw.example/wt": "connect-src 'self';", "https:///wt": "connect-src 'self';",
	} {
		_, client := gateway(t, nil, commhttp.WithAdmin("/", commhttp.WithAdminWebTransport(url, []byte{1, 2, 255})))
		a := ask(t, client, "GET", "http://gw/api/webtransport", nil)
		got := decodeBody[struct {
			URL    string
			Hashes [][]byte
		}](t, a)
		equal(t, "url", got.URL, url)
		equal(t, "hash", string(got.Hashes[0]), "\x01\x02\xff")
		if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, source) {
			t.Errorf("%q: policy %q, want %q", url, csp, source)
		}
	}
}

// A path of the API says what it has; what is no path of it is not found, whatever the method.
func TestAdminMethods(t *testing.T) {
	t.Parallel()
	_, client := gateway(t, nil, commhttp.WithAdmin("/"))
	for _, c := range []struct {
		method, path, want string
	}{
		{"GET", "send", "405 POST"},
		{"PUT", "send", "405 POST"},
		{"POST", "stats", "405 GET, HEAD"},
		{"DELETE", "connections", "405 GET, HEAD"},
		{"GET", "connections/x", "405 DELETE"},
		{"PATCH", "tap", "405 GET, HEAD"},
		{"GET", "nothing", "404"},
		{"PUT", "nothing", "404"},
		{"POST", "send/more", "404"},
		{"DELETE", "connections/", "404"},
	} {
		a := ask(t, client, c.method, "http://gw/api/"+c.path, nil)
		equal(t, c.method+" "+c.path, words(a.StatusCode, a.Header.Get("Allow")), c.want)
		equal(t, "problem", a.Header.Get("Content-Type"), "application/problem+json")
	}
	equal(t, "HEAD", ask(t, client, "HEAD", "http://gw/api/stats", nil).StatusCode, 200)
}

// A bounded list is of those that came first, in their order, and stays so while younger ones come.
func TestAdminOldest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := gateway(t, nil, commhttp.WithAdmin("/"))
		var ids []string
		open := func() {
			ids = append(ids, openPoll(t, client).conn)
			time.Sleep(time.Millisecond)
		}
		list := func(limit int) (got []int) { // their places in the order of arrival
			page := decodeBody[struct {
				Connections []struct{ ID string }
				Total       int
			}](t, ask(t, client, "GET", fmt.Sprint("http://gw/api/connections?limit=", limit), nil))
			equal(t, "total", page.Total, len(ids))
			for _, c := range page.Connections {
				got = append(got, slices.Index(ids, c.ID))
			}
			return got
		}
		for range 40 {
			open()
		}
		for _, limit := range []int{1, 5, 20, 40, 41, 1000} {
			for range 3 {
				var want []int
				for i := range min(limit, len(ids)) {
					want = append(want, i)
				}
				equal(t, fmt.Sprint("the oldest ", limit), words(list(limit)), words(want))
			}
			open()
		}
	})
}

func TestAdminAPI(t *testing.T) {
	t.Parallel()
	m, client := gateway(t, []comm.Option{comm.WithOpenAccess()}, commhttp.WithAdmin("/"))
	comm.On(m, "chat.message", func(context.Context, *comm.Conn, any) error { return nil })
	p := openPoll(t, client, "lobby")
	equal(t, "upward", p.up(`{"type":"chat.message","id":"x","ack":true}`).StatusCode, 202)
	p.next()

	list := decodeBody[struct {
		Connections []map[string]any
		Total       int
	}](t, ask(t, client, "GET", "http://gw/api/connections?limit=5", nil))
	if list.Total != 1 || len(list.Connections) != 1 {
		t.Fatalf("got %+v", list)
	}
	c := list.Connections[0]
	for _, name := range []string{
		"id", "provider", "user", "groups", "labels", "metadata", "since", "remote", "messages_in", "messages_out",
		"bytes_in", "bytes_out", "queue_messages", "queue_bytes", "dropped", "last_activity", "rtt_ms",
	} {
		if c[name] == nil {
			t.Errorf("no member %q in %v", name, c)
		}
	}
	equal(t, "connection", words(c["id"], c["provider"], c["groups"], c["messages_in"]), p.conn+" http [lobby] 1")
	for _, bad := range []string{"0", "-1", "x", "1001"} {
		equal(t, "limit="+bad, ask(t, client, "GET", "http://gw/api/connections?limit="+bad, nil).StatusCode, 400)
	}

	stats := decodeBody[struct {
		UptimeMS   *int64 `json:"uptime_ms"`
		Goroutines int
		Totals     map[string]any
		Providers  map[string]map[string]any
		Types      map[string]map[string]any
	}](t, ask(t, client, "GET", "http://gw/api/stats", nil))
	if stats.UptimeMS == nil || stats.Goroutines == 0 || stats.Types["chat.message"]["handled"] != 1.0 {
		t.Errorf("stats %+v", stats)
	}
	for _, of := range []map[string]any{stats.Totals, stats.Providers["http"]} {
		for _, name := range []string{
			"connections_active", "connections_total", "requests", "requests_failed", "access_denied", "access_failed", "messages_in",
			"messages_in_failed", "messages_out", "messages_out_failed", "bytes_in", "bytes_out", "drops",
		} {
			if of[name] == nil {
				t.Errorf("no member %q in %v", name, of)
			}
		}
	}
	for _, name := range []string{"running", "healthy", "features", "addrs", "response_avg_ms", "response_p50_ms", "response_p99_ms"} {
		if stats.Providers["http"][name] == nil {
			t.Errorf("no member %q in %v", name, stats.Providers["http"])
		}
	}

	// curl -d says that the body is a form.
	sent := decodeBody[map[string]any](t, ask(t, client, "POST", "http://gw/api/send",
		strings.NewReader(`{"to":"group:lobby","type":"chat.message","content":{"text":"hi"}}`), "Content-Type", "application/x-www-form-urlencoded"))
	equal(t, "delivery", fmt.Sprint(sent["matched"], sent["queued"], sent["dropped"], sent["closed"], sent["id"] != ""), "1 1 0 0 true")
	if f := p.next()[0]; contentOf(f) != `{"text":"hi"}` || f.ID != sent["id"] {
		t.Errorf("delivered %+v", f)
	}
	for body, status := range map[string]int{
		`{`: 400, `{"op":"join","group":"g"}`: 400, `{"type":"n"}`: 400, `{"to":"lobby","type":"n"}`: 400,
		`{"to":"conn:nobody","type":"n"}`: 404, `{"to":"group:g","type":""}`: 400, `"` + strings.Repeat("x", 2<<20) + `"`: 413,
	} {
		a := ask(t, client, "POST", "http://gw/api/send", strings.NewReader(body))
		if a.StatusCode != status || a.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.body, `"detail"`) {
			t.Errorf("%.40s: got %d %s", body, a.StatusCode, a.body)
		}
	}

	equal(t, "unknown", ask(t, client, "DELETE", "http://gw/api/connections/nobody", nil).StatusCode, 404)
	done := make(chan answer, 1)
	go func() { done <- p.poll("30000") }()
	equal(t, "closed", ask(t, client, "DELETE", "http://gw/api/connections/"+p.conn, nil).StatusCode, 204)
	frames := p.take(<-done)
	equal(t, "told", frames[len(frames)-1].Code, "kicked")
}

// Who is not on this machine, or comes by a name that is not this machine's, is refused.
func TestAdminLoopback(t *testing.T) {
	t.Parallel()
	m := must(comm.New(comm.WithInMemory(), comm.WithLogger(quiet)))
	defer m.Close()
	open := commhttp.Admin(m, commhttp.WithAdminHosts("gateway.test"))
	guarded := commhttp.Admin(m, commhttp.WithAdminAuth(commhttp.AdminToken("secret")))
	local, public := "127.0.0.1:8080", "192.0.2.1:8080"
	for _, c := range []struct {
		name, listener, remote, host string
		header                       []string
		open, guarded                int
	}{
		{"loopback", local, "127.0.0.1:1", "127.0.0.1:8080", nil, 200, 401},
		{"IPv6", "[::1]:8080", "[::1]:1", "[::1]:8080", nil, 200, 401},
		{"mapped", "[::ffff:127.0.0.1]:8080", "[::ffff:127.0.0.1]:1", "localhost:8080", nil, 200, 401},
		{"by name", local, "127.0.0.1:1", "LOCALHOST", nil, 200, 401},
		{"by own name", local, "127.0.0.1:1", "gateway.test:8080", nil, 200, 401},
		{"from outside", public, "192.0.2.9:1", "192.0.2.1:8080", nil, 403, 401},
		{"public listener", public, "127.0.0.1:1", "127.0.0.1:8080", nil, 403, 401},
		{"rebound name", local, "127.0.0.1:1", "evil.example.com:8080", nil, 403, 401},
		{"name that begins well", local, "127.0.0.1:1", "localhost.evil.example.com", nil, 403, 401},
		{"proxy", local, "127.0.0.1:1", "localhost", []string{"X-Forwarded-For", "192.0.2.9"}, 403, 401},
		{"no listener", "", "127.0.0.1:1", "localhost", nil, 403, 401},
		{"with the token", public, "192.0.2.9:1", "gateway.example.com", []string{"Authorization", "Bearer secret"}, 403, 200},
		{"with another", public, "192.0.2.9:1", "gateway.example.com", []string{"Authorization", "Bearer x"}, 403, 401},
		{"page of another site", local, "127.0.0.1:1", "localhost", []string{"Sec-Fetch-Site", "cross-site", "Authorization", "Bearer secret"}, 403, 403},
	} {
		for i, h := range []http.Handler{open, guarded} {
			r := httptest.NewRequest("GET", "/api/stats", nil)
			r.RemoteAddr, r.Host = c.remote, c.host
			if c.listener != "" {
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(must(net.ResolveTCPAddr("tcp", c.listener)))))
			}
			for j := 0; j < len(c.header); j += 2 {
				r.Header.Set(c.header[j], c.header[j+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := []int{c.open, c.guarded}[i]
			if w.Code != want || want >= 400 && !strings.Contains(w.Body.String(), `"detail"`) {
				t.Errorf("%s (guarded %v): %d %s, want %d", c.name, i == 1, w.Code, w.Body, want)
			}
		}
	}
	empty := httptest.NewRequest("GET", "/", nil)
	empty.Header.Set("Authorization", "Bearer ")
	if commhttp.AdminToken("")(empty) == nil {
		t.Error("an empty token lets everyone in")
	}
}

func TestAdminCSRF(t *testing.T) {
	t.Parallel()
	m, client := gateway(t, nil, commhttp.WithAdmin("/"))
	p := openPoll(t, client)
	body := func() *strings.Reader { return strings.NewReader(`{"to":"all","type":"n"}`) }
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.com"}, {"Origin", "null"},
	} {
		equal(t, words(header, "send"), ask(t, client, "POST", "http://gw/api/send", body(), header...).StatusCode, 403)
		equal(t, words(header, "close"), ask(t, client, "DELETE", "http://gw/api/connections/"+p.conn, nil, header...).StatusCode, 403)
	}
	equal(t, "tap", ask(t, client, "GET", "http://gw/api/tap?type=n", nil, "Sec-Fetch-Site", "cross-site").StatusCode, 403)
	if m.Connection(p.conn) == nil {
		t.Error("the connection was closed")
	}
	equal(t, "same origin", ask(t, client, "POST", "http://gw/api/send", body(), "Sec-Fetch-Site", "same-origin", "Origin", "http://gw").StatusCode, 200)
}

// tapEvents opens a tap and returns its events as they come; the last is the end's.
func tapEvents(t *testing.T, client *http.Client, query string) <-chan string {
	t.Helper()
	resp, err := client.Do(must(http.NewRequestWithContext(t.Context(), "GET", "http://gw/api/tap"+query, nil)))
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%v %v", err, resp)
	}
	events := make(chan string, 2000)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			if line := s.Text(); strings.HasPrefix(line, "data: ") || strings.HasPrefix(line, "event: ") {
				events <- line
			}
		}
	}()
	return events
}

func TestAdminTap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, client := gateway(t, []comm.Option{comm.WithOpenAccess()}, commhttp.WithAdmin("/"))
		comm.On(m, "n", func(context.Context, *comm.Conn, int) error { return nil })
		p := openPoll(t, client)
		began := time.Now()
		byConn, byType := tapEvents(t, client, "?conn="+p.conn), tapEvents(t, client, "?type=n&for=10s")
		p.up(`{"type":"n","content":7}`)
		p.up(`{"op":"auth","id":"a","token":"very secret"}`)
		send(t, m, comm.ToConn(p.conn), 8)
		p.next()
		var lines []string
		for line := range byType {
			lines = append(lines, line)
		}
		equal(t, "the tap's time", time.Since(began), 10*time.Second)
		if len(lines) != 4 || !strings.Contains(lines[0], `"direction":"in"`) || !strings.Contains(lines[1], `"direction":"out"`) || lines[2] != "event: end" {
			t.Errorf("got %q", lines)
		}
		if !strings.Contains(lines[0], `"conn":"`+p.conn+`","provider":"http","at":"`) || !strings.Contains(lines[0], `"frame":{"type":"n","content":7}`) {
			t.Errorf("got %s", lines[0])
		}
		lines = nil
		for line := range byConn {
			lines = append(lines, line)
		}
		equal(t, "the default time", time.Since(began), 30*time.Second)
		if all := strings.Join(lines, "\n"); strings.Contains(all, "secret") || !strings.Contains(all, `"op":"auth"`) || len(lines) < 6 {
			t.Errorf("got %s", all)
		}
		for query, status := range map[string]int{"": 400, "?conn=nobody": 404, "?type=n&for=61s": 400, "?type=n&for=-1s": 400, "?type=n&for=x": 400} {
			equal(t, "tap"+query, ask(t, client, "GET", "http://gw/api/tap"+query, nil).StatusCode, status)
		}
	})
}

func TestAdminTapBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, client := gateway(t, []comm.Option{comm.WithOpenAccess(), comm.WithLogs(false, false, false)}, commhttp.WithAdmin("/"))
		p := openPoll(t, client)
		var taps []<-chan string
		for range 8 {
			taps = append(taps, tapEvents(t, client, "?type=n"))
		}
		a := ask(t, client, "GET", "http://gw/api/tap?type=n", nil)
		equal(t, "one too many", words(a.StatusCode, a.Header.Get("Retry-After")), "503 1")
		for i := range 1200 {
			send(t, m, comm.ToConn(p.conn), i)
			if i%50 == 0 {
				p.next()
				time.Sleep(time.Millisecond)
			}
		}
		n := 0
		for line := range taps[0] {
			if line == "event: end" {
				break
			}
			n++
		}
		equal(t, "events", n, 1000)
		// A drain does not wait for those who look on.
		began := time.Now()
		go func() { p.poll("30000") }()
		if err := m.Drain(t.Context()); err != nil || time.Since(began) > 10*time.Second {
			t.Errorf("drain: %v after %v", err, time.Since(began))
		}
	})
}
