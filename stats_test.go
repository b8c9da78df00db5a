package comm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

// say lets a client send a message, and waits until all is done.
func say(t *testing.T, f *fake, c *comm.Conn, typ string) {
	t.Helper()
	if err := f.host().Receive(c, &comm.Frame{Op: comm.OpMessage, Message: message(t, typ, nil)}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func stats(t *testing.T, m *comm.Manager, provider string) comm.Stats {
	t.Helper()
	s, err := m.Stats(provider)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each provider counts for itself, across its starts; the totals are their sum.
func TestStatsByProvider(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &fake{name: "a"}, &fake{name: "b"}
		m := newManager(t, comm.WithProvider(a, b))
		comm.On(m, "n", func(context.Context, *comm.Conn, *comm.Message) error { return nil })
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, f := range []*fake{a, b, b} {
			c, p := f.attach(t, comm.Handshake{})
			say(t, f, c, "n")
			say(t, f, c, "unknown")
			f.host().Traffic(c, 100, 10)
			if i < 2 {
				hangUp(f, c)
				continue
			}
			p.halt()
			for range 3 { // one with the stuck writer, two in the queue
				send(t, m, comm.ToConn(c.ID()), message(t, "n", nil))
				synctest.Wait()
			}
			hangUp(f, c)
		}
		if err := m.Stop(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.attach(t, comm.Handshake{})
		want := func(conns, ended int64, drops map[string]int64) comm.Stats {
			return comm.Stats{
				ConnectionsTotal: conns, ConnectionsActive: conns - ended, MessagesIn: 2 * ended, MessagesInFailed: ended,
				BytesIn: 100 * ended, BytesOut: 10 * ended, Drops: drops, MessagesOutFailed: drops["closed"],
				Closed: map[string]int64{"lost": ended},
			}
		}
		same(t, "a", stats(t, m, "a"), want(1, 1, map[string]int64{}))
		same(t, "b", stats(t, m, "b"), want(3, 2, map[string]int64{"closed": 2}))
		total := stats(t, m, "")
		same(t, "types", []int64{total.Types["n"].Handled, total.Types["unknown"].Handled, total.Types["unknown"].Failed}, []int64{3, 3, 3})
		total.Types = nil
		same(t, "total", total, want(4, 3, map[string]int64{"closed": 2}))
	})
}

// Requests count with their time unless they are streams; 5xx are failures.
func TestStatsOfRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		if err := f.host().Route("GET /take/{seconds}/{status}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seconds, _ := time.ParseDuration(r.PathValue("seconds") + "s")
			status, _ := strconv.Atoi(r.PathValue("status"))
			time.Sleep(seconds)
			if status == 0 {
				comm.MarkStreaming(r.Context())
				return
			}
			w.WriteHeader(status)
		})); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"1/200", "3/404", "5/500", "7/503", "600/0"} {
			get(t, httpClient(m), "http://gateway/take/"+path)
		}
		s := stats(t, m, "fake")
		same(t, "requests", []int64{s.Requests, s.RequestsFailed}, []int64{5, 2})
		same(t, "times", []time.Duration{s.ResponseAverage, s.ResponseMax}, []time.Duration{4 * time.Second, 7 * time.Second})
		if s.ResponseP50 < 2500*time.Millisecond || s.ResponseP50 > s.ResponseP95 || s.ResponseP95 > s.ResponseP99 || s.ResponseP99 > s.ResponseMax {
			t.Errorf("quantiles %v %v %v", s.ResponseP50, s.ResponseP95, s.ResponseP99)
		}
	})
}

// measured is a transport that knows its round trip.
type measured struct{ *peer }

func (measured) RoundTrip() time.Duration { return 42 * time.Millisecond }

func TestStatsOfAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := make(chan comm.Disconnection, 1)
		m, f := gateway(t, comm.WithOnDisconnect(func(_ *comm.Conn, d comm.Disconnection) { ended <- d }))
		comm.On(m, "n", func(context.Context, *comm.Conn, *comm.Message) error { return nil })
		began := time.Now()
		p := measured{newPeer()}
		c, err := f.host().Attach(t.Context(), p, &comm.Handshake{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		say(t, f, c, "n")
		say(t, f, c, "unknown")
		f.host().Reject(c, &comm.FrameError{Code: comm.CodeBadFrame, Text: "no frame"})
		f.host().Traffic(c, 30, 0)
		f.host().Traffic(c, 0, 50)
		time.Sleep(time.Minute)
		send(t, m, comm.ToAll(), message(t, "out", nil))
		synctest.Wait()
		want := comm.ConnStats{
			MessagesIn: 2, MessagesOut: 1, FailedIn: 2, BytesIn: 30, BytesOut: 50,
			LastActivity: c.Stats().LastActivity, RoundTrip: 42 * time.Millisecond,
		}
		same(t, "stats", c.Stats(), want)
		same(t, "last activity", want.LastActivity.Sub(began), time.Minute)
		hangUp(f, c)
		same(t, "at the end", <-ended, comm.Disconnection{Reason: comm.CloseReason{Kind: comm.ReasonLost}, Duration: 2 * time.Minute, Stats: want})
	})
}

// Types are told apart up to a bound; what clients invent takes no name from the service, and a
// handler that panics has failed.
func TestStatsByType(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithMessageRate(1e6, 1e6))
		const types = 230
		for i := range types {
			comm.On(m, fmt.Sprint("type ", i), func(context.Context, *comm.Conn, *comm.Message) error {
				time.Sleep(2 * time.Second)
				switch i {
				case 1:
					return errors.New("no")
				case 2:
					panic("no")
				}
				return nil
			})
		}
		c, _ := f.attach(t, comm.Handshake{})
		for i := range 300 {
			say(t, f, c, fmt.Sprint("invented ", i))
		}
		for i := range types {
			if err := f.host().Receive(c, &comm.Frame{Op: comm.OpMessage, Message: message(t, fmt.Sprint("type ", i), nil)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		got := stats(t, m, "").Types
		same(t, "names", len(got), 201)
		same(t, "invented", []int64{got["unknown"].Handled, got["unknown"].Failed}, []int64{300, 300})
		same(t, "no room for", []int64{got["other"].Handled, got["other"].Failed}, []int64{types - 199, 0})
		for i, failed := range []int64{0, 1, 1} {
			s := got[fmt.Sprint("type ", i)]
			same(t, fmt.Sprint("type ", i), []any{s.Handled, s.Failed, s.Average}, []any{int64(1), failed, 2 * time.Second})
		}
		if s := stats(t, m, "fake"); s.Types != nil {
			t.Error("a provider has no types")
		}
	})
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (NaN|[+-]Inf|[-+0-9.e]+)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$`)
)

// scrape reads the metrics page strictly: each line valid, under the TYPE of its metric, no sample twice.
func scrape(t *testing.T, page string) (samples map[string]float64, kinds map[string]string) {
	t.Helper()
	samples, kinds = make(map[string]float64), make(map[string]string)
	metric := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if metric = m[1]; kinds[metric] != "" {
				t.Errorf("a second TYPE: %s", line)
			}
			kinds[metric] = m[2]
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no line of the format: %q", line)
			continue
		}
		base := m[1]
		if kinds[metric] == "histogram" {
			base = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, "_bucket"), "_sum"), "_count")
		}
		_, twice := samples[m[1]+m[2]]
		if base != metric || twice {
			t.Errorf("%q stands under %q, twice: %v", line, metric, twice)
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		samples[m[1]+m[2]] = v
	}
	return samples, kinds
}

func TestMetricsPage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &fake{name: `odd "name"\`}
		f.onStart = func(context.Context, comm.Host) error { return nil }
		m := newManager(t, comm.WithProvider(commhttp.New(), f))
		comm.On(m, `say "hi"\`, func(context.Context, *comm.Conn, *comm.Message) error { return errors.New("no") })
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		traffic := func() (map[string]float64, map[string]string) {
			c, _ := f.attach(t, comm.Handshake{})
			say(t, f, c, `say "hi"\`)
			send(t, m, comm.ToConn(c.ID()), message(t, "n", nil))
			synctest.Wait()
			hangUp(f, c)
			a := get(t, httpClient(m), "http://gateway/metrics")
			same(t, "type", a.header.Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8")
			return scrape(t, a.body)
		}
		first, kinds := traffic()
		second, _ := traffic()
		for name, kind := range kinds {
			if !strings.HasPrefix(name, "comm_") && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
				t.Errorf("%s has no prefix", name)
			}
			if kind == "counter" != strings.HasSuffix(name, "_total") {
				t.Errorf("%s is a %s", name, kind)
			}
		}
		for name, before := range first {
			base, _, _ := strings.Cut(name, "{")
			if now, ok := second[name]; !ok || kinds[base] != "gauge" && now < before {
				t.Errorf("%s: %v, then %v (%v)", name, before, now, ok)
			}
		}
		odd := `{provider="odd \"name\"\\"}`
		for name, want := range map[string]float64{
			"comm_connections_opened_total" + odd: 2, "comm_connections" + odd: 0, "comm_messages_received_total" + odd: 2,
			"comm_messages_failed_total" + odd: 2, "comm_messages_sent_total" + odd: 2, "comm_provider_running" + odd: 1,
			`comm_connections_closed_total{provider="odd \"name\"\\",reason="lost"}`: 2,
			`comm_handler_failures_total{type="say \"hi\"\\"}`:                       2,
			`comm_handler_duration_seconds_bucket{type="say \"hi\"\\",le="+Inf"}`:    2,
			"comm_sends_total": 2, `comm_http_requests_total{provider="http"}`: 1,
		} {
			if got, ok := second[name]; !ok || got != want {
				t.Errorf("%s: %v (%v), want %v", name, got, ok, want)
			}
		}
	})
}

func TestHealthOfAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &fake{name: "a"}, &fake{name: "b"}
		m := newManager(t, comm.WithProvider(a, b))
		live := func() int {
			w := httptest.NewRecorder()
			m.LiveHandler().ServeHTTP(w, httptest.NewRequest("GET", "/livez", nil))
			return w.Code
		}
		same(t, "before the start", []any{m.Health(t.Context()).Ready, ready(m), live()}, []any{false, 503, 200})
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		time.Sleep(time.Second)
		if err := m.Stop(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		b.onHealth = func(context.Context) error { t.Error("a stopped provider was asked"); return nil }
		want := comm.Health{Providers: map[string]comm.ProviderHealth{
			"a": {Running: true, Healthy: true, Checked: started.Add(time.Second)}, "b": {Checked: started},
		}}
		same(t, "health", m.Health(t.Context()), want)
		w := httptest.NewRecorder()
		m.ReadyHandler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		var told comm.Health
		if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || !told.Providers["a"].Healthy || told.Providers["b"].Running {
			t.Errorf("%s: %v", w.Body, err)
		}
		same(t, "answer", []any{w.Code, w.Header().Get("Retry-After"), w.Header().Get("Cache-Control")}, []any{503, "1", "no-store"})
		b.onHealth = nil
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "all run", []any{m.Health(t.Context()).Ready, ready(m)}, []any{true, 200})
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		same(t, "closed", []any{m.Health(t.Context()).Ready, live()}, []any{false, 503})
	})
}

func TestFeaturesOfAll(t *testing.T) {
	t.Parallel()
	own := func(f ...comm.Feature) []comm.Feature {
		f = append(f, comm.FeatureMetrics, comm.FeatureLogging, comm.FeatureHealthChecks, comm.FeatureRateLimiting)
		slices.Sort(f)
		return slices.Compact(f)
	}
	a, b := &fake{name: "a", features: []comm.Feature{comm.FeatureSSE, comm.FeatureMetrics}}, &fake{name: "b", features: []comm.Feature{comm.FeatureSSE, comm.FeatureCORS}}
	all := []comm.Option{
		comm.WithProvider(a, b), tokenIsUser(), comm.WithDevelopmentCertificate(),
		comm.WithMiddleware(func(next comm.Handler) comm.Handler { return next }),
	}
	for name, row := range map[string]struct {
		opts     []comm.Option
		provider string
		want     []comm.Feature
	}{
		"nobody": {nil, "", nil},
		"one":    {all[:1], "a", own(comm.FeatureSSE)},
		"both":   {all[:1], "", own(comm.FeatureSSE, comm.FeatureCORS)},
		"with all options": {all, "b", own(
			comm.FeatureSSE, comm.FeatureCORS, comm.FeatureAuthentication, comm.FeatureHTTPS, comm.FeatureMiddleware)},
	} {
		got, err := newManager(t, row.opts...).Features(row.provider)
		if err != nil {
			t.Error(name, err)
		}
		same(t, name, got, row.want)
	}
	if _, err := newManager(t, all...).Features("c"); !errors.Is(err, comm.ErrNotFound) {
		t.Errorf("unknown provider: %v", err)
	}
}

// The observer is told of each thing once, in the order in which it happened, with whom it concerns.
func TestObserverSeesEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen events
		m, f := gateway(t, comm.WithObserver(&seen), tokenIsUser())
		comm.On(m, "good", func(context.Context, *comm.Conn, *comm.Message) error { return nil })
		comm.On(m, "bad", func(context.Context, *comm.Conn, *comm.Message) error { return errBroken })
		comm.On(m, "boom", func(context.Context, *comm.Conn, *comm.Message) error { panic("boom") })
		_, _, refusal := f.try(t, as("bad"))
		c, _ := f.attach(t, as("ann"))
		if err := errors.Join(c.Join("g"), c.Join("g"), c.Leave("g"), c.Leave("g"), c.Join("h")); err != nil {
			t.Fatal(err)
		}
		for _, typ := range []string{"good", "bad", "boom"} {
			say(t, f, c, typ)
		}
		if err := c.Kick(t.Context(), "out"); err != nil {
			t.Fatal(err)
		}
		if err := m.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		of := func(e comm.Event) comm.Event {
			e.Provider, e.Conn, e.User = "fake", c.ID(), "ann"
			return e
		}
		got := seen.all
		boom := slices.IndexFunc(got, func(e comm.Event) bool { return e.Type == "boom" })
		if boom < 0 || got[boom].Err == nil {
			t.Fatalf("the panic is no failure: %+v", got)
		}
		same(t, "events", got, []comm.Event{
			{Kind: comm.EventStart, Provider: "fake"},
			{Kind: comm.EventRefused, Provider: "fake", Err: refusal},
			of(comm.Event{Kind: comm.EventConnect}),
			of(comm.Event{Kind: comm.EventJoin, Group: "g"}),
			of(comm.Event{Kind: comm.EventLeave, Group: "g"}),
			of(comm.Event{Kind: comm.EventJoin, Group: "h"}),
			of(comm.Event{Kind: comm.EventMessage, Type: "good"}),
			of(comm.Event{Kind: comm.EventMessage, Type: "bad", Err: errBroken}),
			of(comm.Event{Kind: comm.EventMessage, Type: "boom", Err: got[boom].Err}),
			of(comm.Event{Kind: comm.EventLeave, Group: "h"}),
			of(comm.Event{Kind: comm.EventDisconnect, Reason: comm.ReasonKicked}),
			{Kind: comm.EventDrain},
			{Kind: comm.EventStop, Provider: "fake"},
		})
	})
}

// metered is one whose provider counts what the network carries, if it says so.
type metered struct {
	adjacent
	is bool
}

func (p *metered) Metered() bool { return p.is }

// What is counted below a transport counts for the provider once, whoever writes.
func TestTrafficOfMeteredTransports(t *testing.T) {
	for _, is := range []bool{true, false} {
		t.Run(fmt.Sprint(is), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f := gateway(t)
				c, err := f.host().Attach(t.Context(), &metered{adjacent{trying: trying{peer: newPeer()}}, is}, &comm.Handshake{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				f.host().Traffic(nil, 300, 200)
				f.host().Traffic(c, 30, 20)
				send(t, m, comm.ToAll(), message(t, "n", nil)) // one byte, written by its sender
				own, all := c.Stats(), stats(t, m, "fake")
				same(t, "of the connection", []int64{own.BytesIn, own.BytesOut}, []int64{30, 21})
				want := []int64{330, 221}
				if is {
					want = []int64{300, 200}
				}
				same(t, "of the provider", []int64{all.BytesIn, all.BytesOut}, want)
			})
		})
	}
}
