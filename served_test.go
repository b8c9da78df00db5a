package comm_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// Calls count by method and ending, as requests of the provider, and with their time unless they are streams.
func TestStatsOfCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		if s := stats(t, m, "fake"); s.Calls != nil {
			t.Errorf("calls before the first: %v", s.Calls)
		}
		for _, s := range []comm.Served{
			{Name: "/a.B/C", Code: "OK", Took: time.Second},
			{Name: "/a.B/C", Code: "INTERNAL", Failed: true, Took: 3 * time.Second},
			{Name: "/a.B/D", Code: "OK", Stream: true, Took: time.Hour},
		} {
			f.host().Served(t.Context(), s)
		}
		s := stats(t, m, "fake")
		same(t, "requests", []int64{s.Requests, s.RequestsFailed, int64(s.ResponseAverage)}, []int64{3, 1, int64(2 * time.Second)})
		same(t, "codes", s.Calls["/a.B/C"].Codes, map[string]int64{"OK": 1, "INTERNAL": 1})
		same(t, "calls", []any{s.Calls["/a.B/C"].Calls, s.Calls["/a.B/C"].Failed, s.Calls["/a.B/C"].Average, s.Calls["/a.B/D"].Calls},
			[]any{int64(2), int64(1), 2 * time.Second, int64(1)})
		if total := stats(t, m, ""); total.Calls != nil || total.Requests != 3 {
			t.Errorf("total: %+v", total)
		}
		w := httptest.NewRecorder()
		m.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for _, line := range []string{
			`comm_calls_total{code="INTERNAL",method="/a.B/C",provider="fake"} 1`,
			`comm_call_duration_seconds_count{method="/a.B/D",provider="fake"} 1`,
		} {
			if !strings.Contains(w.Body.String(), line) {
				t.Errorf("the page lacks %s", line)
			}
		}
	})
}

// A call that came as an HTTP request is one request, not two.
func TestCallsOverHTTPCountOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		if err := f.host().Route("POST /call", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			f.host().Served(r.Context(), comm.Served{Name: "/a.B/C", Code: "UNKNOWN", Failed: true, Stream: true, Took: time.Hour})
		})); err != nil {
			t.Fatal(err)
		}
		resp, err := httpClient(m).Post("http://gateway/call", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		s := stats(t, m, "fake")
		same(t, "requests", []int64{s.Requests, s.RequestsFailed, s.Calls["/a.B/C"].Calls, int64(s.ResponseMax)}, []int64{1, 1, 1, 0})
	})
}

// Whoever waits for the gateway's readiness learns of each change, at once.
func TestReadiness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &fake{}
		m := newManager(t, comm.WithProvider(f), comm.WithDrainDelay(time.Minute), comm.WithHealthInterval(time.Second))
		var mu sync.Mutex
		var told []string
		heard := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(told)
		}
		say := func(h comm.Health) {
			mu.Lock()
			defer mu.Unlock()
			state := "waiting"
			switch {
			case m.Leaving():
				state = "leaving"
			case h.Draining:
				state = "draining"
			case h.Ready:
				state = "ready"
			}
			if len(told) == 0 || told[len(told)-1] != state {
				told = append(told, state)
			}
		}
		go func() {
			for {
				h, changed := m.Readiness()
				say(h)
				select {
				case <-changed:
				case <-t.Context().Done():
					return
				}
			}
		}()
		synctest.Wait()
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := m.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		go m.Drain(t.Context())
		time.Sleep(time.Second)
		synctest.Wait()
		same(t, "before the delay is over", heard(), []string{"waiting", "ready", "waiting", "ready", "draining"})
		time.Sleep(time.Hour)
		synctest.Wait()
		same(t, "at the end", heard()[len(heard())-1], "leaving")
	})
}
