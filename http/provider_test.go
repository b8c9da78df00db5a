package commhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

func nothing(http.ResponseWriter, *http.Request) {}

// other is a provider with one route.
type other struct{ pattern string }

func (other) Name() string                 { return "other" }
func (other) Features() []comm.Feature     { return nil }
func (other) Stop(context.Context) error   { return nil }
func (other) Health(context.Context) error { return nil }
func (o other) Start(_ context.Context, h comm.Host) error {
	return h.Route(o.pattern, http.HandlerFunc(nothing))
}

func TestProviderConflicts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		opts   []commhttp.Option
		other  string
		errors []string // parts of the text; none is no error
	}{
		{"another provider's", []commhttp.Option{commhttp.HandleFunc("GET /ws", nothing)}, "/ws", []string{"/ws", "other", "http"}},
		{"own poll path", []commhttp.Option{commhttp.HandleFunc("POST /poll", nothing)}, "/ws", []string{"POST /poll", "own /poll"}},
		{"own health path", []commhttp.Option{commhttp.HandleFunc("/livez", nothing)}, "/ws", []string{"/livez"}},
		{"moved", []commhttp.Option{commhttp.HandleFunc("/livez", nothing), commhttp.WithHealthPaths("", "/ready")}, "/ws", nil},
		{"wildcards beside", []commhttp.Option{commhttp.HandleFunc("GET /{page}", nothing), commhttp.HandleFunc("GET /", nothing)}, "/ws", nil},
		{"methods apart", []commhttp.Option{commhttp.HandleFunc("GET /a/{x}", nothing), commhttp.HandleFunc("POST /{y}/b", nothing)}, "/ws", nil},
		{"no routes leave the root", nil, "/", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := must(comm.New(comm.WithInMemory(), comm.WithLogger(quiet), comm.WithRetry(0, time.Second),
				comm.WithProvider(commhttp.New(c.opts...), other{c.other})))
			defer m.Close()
			err := m.Start(t.Context())
			if c.errors == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if _, ok := errors.AsType[*comm.RouteError](err); !ok {
				t.Fatalf("got %v, want a RouteError", err)
			}
			for _, part := range c.errors {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %q", err, part)
				}
			}
		})
	}
}

func TestProviderOptionsReported(t *testing.T) {
	t.Parallel()
	_, err := comm.New(comm.WithInMemory(), comm.WithProvider(commhttp.New(
		commhttp.WithPollPath("poll"), commhttp.WithMetricsPath("/livez"), commhttp.WithAdmin("admin"),
		commhttp.WithBodyLimit(-1), commhttp.WithCORS("nonsense"),
	)))
	for _, part := range []string{"(poll)", "poll_path", "metrics_path", "live_path", "WithAdmin", "max_body_size", "nonsense"} {
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(part)) {
			t.Errorf("%v does not name %q", err, part)
		}
	}
	_, err = commhttp.NewHandler(commhttp.WithPollPath("/p"))
	if err == nil || !strings.Contains(err.Error(), "WithPollPath") {
		t.Errorf("NewHandler took an option of New: %v", err)
	}
}

func TestProviderFeatures(t *testing.T) {
	t.Parallel()
	has := func(opts ...commhttp.Option) func(comm.Feature) bool {
		p := commhttp.New(opts...)
		m := must(comm.New(comm.WithInMemory(), comm.WithProvider(p), comm.WithLogger(quiet)))
		t.Cleanup(func() { m.Close() })
		list := p.Features()
		return func(f comm.Feature) bool { return slices.Contains(list, f) }
	}
	for f, opt := range map[comm.Feature]commhttp.Option{
		comm.FeatureCORS: commhttp.WithCORS("https://a.example.com"), comm.FeatureCompression: commhttp.WithCompression(),
		comm.FeatureStaticFiles: commhttp.Static("/s/", fstest.MapFS{"a": {}}), comm.FeaturePathParams: commhttp.HandleFunc("GET /{x}", nothing),
		comm.FeatureCookies: commhttp.HandleFunc("GET /{$}", nothing), comm.FeatureMiddleware: commhttp.HandleFunc("GET /a", nothing),
	} {
		if has()(f) || !has(opt)(f) {
			t.Errorf("%s: %v without, %v with", f, has()(f), has(opt)(f))
		}
	}
	for _, f := range []comm.Feature{comm.FeatureLongPolling, comm.FeatureRealTime, comm.FeatureBroadcasting, comm.FeatureMulticasting, comm.FeatureUnicasting} {
		if !has()(f) || has(commhttp.WithoutPolling())(f) {
			t.Errorf("%s: %v with polling, %v without", f, has()(f), has(commhttp.WithoutPolling())(f))
		}
	}
	if !has()(comm.FeatureHTTP) || has(commhttp.HandleFunc("GET /{$}", nothing))(comm.FeaturePathParams) {
		t.Error("http is missing, or {$} is taken for a parameter")
	}
}

func TestProviderServes(t *testing.T) {
	t.Parallel()
	var logged atomic.Int64
	m, client := gateway(t, nil,
		commhttp.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("id")) }),
		commhttp.WithCORS("https://app.example.com"), commhttp.WithCompression(),
		commhttp.WithObserver(func(*http.Request, commhttp.Result) { logged.Add(1) }))
	equal(t, "route", ask(t, client, "GET", "http://gw/users/7", nil).body, "7")
	a := ask(t, client, "POST", "http://gw/users/7", nil)
	equal(t, "method", words(a.StatusCode, a.Header.Get("Content-Type")), "405 application/problem+json")
	a = ask(t, client, "OPTIONS", "http://gw/users/7", nil, "Origin", "https://app.example.com", "Access-Control-Request-Method", "GET")
	equal(t, "preflight", words(a.StatusCode, a.Header.Get("Access-Control-Allow-Origin")), "204 https://app.example.com")
	equal(t, "livez", ask(t, client, "GET", "http://gw/livez", nil).body, "ok\n")
	equal(t, "livez", ask(t, client, "POST", "http://gw/livez", nil).StatusCode, 405)
	equal(t, "readyz", ask(t, client, "GET", "http://gw/readyz", nil).StatusCode, 200)
	if a := ask(t, client, "GET", "http://gw/metrics", nil); !strings.Contains(a.body, `comm_provider_running{provider="http"} 1`) {
		t.Errorf("metrics: %s", a.body)
	}
	if a := ask(t, client, "GET", "http://gw/poll", nil, "Accept-Encoding", "gzip"); a.Header.Get("Content-Encoding") != "" {
		t.Error("polling is compressed")
	}
	equal(t, "observed", logged.Load(), 8)
	s := must(m.Stats("http"))
	if s.Requests != 8 || s.ConnectionsActive != 1 || s.ResponseMax == 0 {
		t.Errorf("stats %+v", s)
	}

	// Stopped, it answers 503; started again, it serves.
	if err := m.Stop(t.Context(), "http"); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), "http"); err != nil {
		t.Fatal(err)
	}
	equal(t, "again", ask(t, client, "GET", "http://gw/users/8", nil).body, "8")
	equal(t, "again", ask(t, client, "GET", "http://gw/poll", nil).StatusCode, 200)
}

// In process the same chain answers.
func TestHandleRequest(t *testing.T) {
	t.Parallel()
	m, _ := gateway(t, nil, commhttp.HandleFunc("GET /a", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") }))
	req := must(http.NewRequestWithContext(t.Context(), "GET", "/a", nil))
	resp, err := m.HandleRequest(t.Context(), "http", req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

// 1,200 requests cross a drain, behind HTTP/1.1 keep-alive and h2c clients, and each is answered.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	var started atomic.Int64
	release := make(chan struct{})
	m := must(comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithLogger(quiet), comm.WithDrainSpread(0), comm.WithProvider(commhttp.New(
		commhttp.HandleFunc("GET /work", func(w http.ResponseWriter, r *http.Request) {
			if started.Add(1); !r.URL.Query().Has("warm") {
				<-release
			}
			fmt.Fprint(w, "done")
		})))))
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	url := "http://" + must(m.Addrs("http"))[0] + "/work"
	const clients, each = 6, 200
	var answered atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		transport := &http.Transport{MaxIdleConnsPerHost: each}
		if i%2 == 1 { // one connection of 200 streams
			transport.Protocols = new(http.Protocols)
			transport.Protocols.SetUnencryptedHTTP2(true)
		}
		client := &http.Client{Transport: transport}
		defer transport.CloseIdleConnections()
		equal(t, "warm up", ask(t, client, "GET", url+"?warm", nil).body, "done")
		for range each {
			wg.Go(func() {
				a, err := tryAsk(context.Background(), client, "GET", url, nil)
				if err != nil || a.err != nil || a.StatusCode != 200 || a.body != "done" {
					t.Errorf("lost: %v %v", err, a.body)
					return
				}
				answered.Add(1)
			})
		}
	}
	eventually(t, "requests under way", func() bool { return started.Load() == clients*(each+1) })
	drained := make(chan error, 1)
	go func() { drained <- m.Drain(t.Context()) }()
	eventually(t, "the drain", m.Leaving)
	equal(t, "answered before", answered.Load(), 0)
	close(release)
	wg.Wait()
	equal(t, "answered", answered.Load(), clients*each)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A manager that trusts a proxy puts the client into RemoteAddr; the proxy's request id is believed all the same, and
// nobody else's.
func TestTrustedProxiesOfBoth(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	show := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, commhttp.ClientAddr(r), " ", commhttp.RequestIDFrom(r.Context()))
	}
	for name, c := range map[string]struct {
		gateway, provider netip.Prefix
		want              string
	}{
		"both":          {loopback, loopback, "203.0.113.9 by-proxy"},
		"provider":      {netip.Prefix{}, loopback, "203.0.113.9 by-proxy"},
		"gateway":       {loopback, netip.Prefix{}, "203.0.113.9 "},
		"none":          {netip.Prefix{}, netip.Prefix{}, "127.0.0.1 "},
		"client's area": {loopback, netip.MustParsePrefix("203.0.113.0/24"), "203.0.113.9 "},
	} {
		m := must(comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithLogger(quiet), comm.WithTrustedProxies(c.gateway),
			comm.WithProvider(commhttp.New(commhttp.HandleFunc("GET /{$}", show), commhttp.WithTrustedProxies(c.provider)))))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := must(http.NewRequestWithContext(t.Context(), "GET", "http://"+must(m.Addrs("http"))[0]+"/", nil))
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		r.Header.Set("X-Request-Id", "by-proxy")
		resp := must((&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r))
		body := string(must(io.ReadAll(resp.Body)))
		resp.Body.Close()
		if believed := strings.HasSuffix(body, "by-proxy"); !strings.HasPrefix(body, c.want) || believed != strings.HasSuffix(c.want, "by-proxy") {
			t.Errorf("%s: %q, want %q", name, body, c.want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Without a logger of its own the provider writes everything to the manager's: what it serves itself, too.
func TestProviderLogsToTheManager(t *testing.T) {
	log := new(syncBuffer)
	m := must(comm.New(comm.WithInMemory(), comm.WithLogger(slog.New(slog.NewTextHandler(log, nil))), comm.WithProvider(commhttp.New(
		commhttp.HandleFunc("GET /own", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "own") }),
		commhttp.WithAccessLog(),
	))))
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: m.DialContext, DisableKeepAlives: true}}
	paths := []string{"/own", "/poll", "/livez"}
	for _, path := range paths {
		must(client.Get("http://gateway" + path)).Body.Close()
	}
	if err := m.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	m.Close()
	for _, path := range paths {
		if !strings.Contains(log.String(), "path="+path) {
			t.Errorf("the manager's log has no record of %s:\n%s", path, log)
		}
	}
}
