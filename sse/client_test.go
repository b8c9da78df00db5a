package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// steady waits exactly its bounds: 1 s, 2 s, 4 s, 8 s, 8 s...
var steady = comm.Backoff{Base: time.Second, Max: 8 * time.Second, NoJitter: true, StableAfter: 10 * time.Second}

// script is a server that answers each connection with the next of its steps, and keeps the last.
type script struct {
	steps []http.HandlerFunc
	calls atomic.Int64
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i := int(s.calls.Add(1)) - 1
	s.steps[min(i, len(s.steps)-1)](w, r)
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, body)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		http.Error(w, "because", code)
	}
}

// cut sends body and then breaks the connection.
func cut(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text(body)(w, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// echoID sends back the Last-Event-ID it was asked for.
func echoID(w http.ResponseWriter, r *http.Request) {
	text("data: from "+r.Header.Get("Last-Event-ID")+"\n\n")(w, r)
}

// follow runs a client against steps in virtual time and returns what happened, in order.
func follow(t *testing.T, steps []http.HandlerFunc, opts ...sse.ClientOption) (log string, err error) {
	synctest.Test(t, func(t *testing.T) {
		srv := serveMemory(t, &script{steps: steps})
		var lines []string
		opts = append([]sse.ClientOption{sse.WithHTTPClient(srv.client), sse.WithBackoff(steady), sse.WithOnState(func(c sse.StateChange) {
			line := c.State.String()
			if c.State == sse.StateWaiting {
				line += " " + c.Wait.String()
			}
			lines = append(lines, line)
		})}, opts...)
		c, cerr := sse.NewClient("http://memory/", opts...)
		if cerr != nil {
			t.Fatal(cerr)
		}
		err = c.Run(t.Context(), func(ev sse.Event) error {
			lines = append(lines, string(ev.Data))
			return nil
		})
		log = strings.Join(lines, ", ")
	})
	return log, err
}

func TestClient(t *testing.T) {
	t.Parallel()
	type steps = []http.HandlerFunc
	tests := []struct {
		name  string
		steps steps
		opts  []sse.ClientOption
		want  string
		err   string // part of it; empty means nil
	}{
		{"204 ends for good", steps{status(204)}, nil, "connecting, closed", ""},
		{
			"resumes after a clean end",
			steps{text("id: 5\ndata: a\n\n"), echoID, status(204)},
			nil,
			"connecting, open, a, waiting 1s, connecting, open, from 5, waiting 2s, connecting, closed", "",
		},
		{
			"resumes after a cut, without the unfinished event",
			steps{cut("id: 5\ndata: a\n\nid: 6\ndata: b"), echoID, status(204)},
			nil,
			"connecting, open, a, waiting 1s, connecting, open, from 5, waiting 2s, connecting, closed", "",
		},
		{
			"id without an event counts",
			steps{text("id: 7\n\n"), echoID, status(204)},
			nil,
			"connecting, open, waiting 1s, connecting, open, from 7, waiting 2s, connecting, closed", "",
		},
		{
			"id survives a stream that has none",
			steps{text("id: 7\ndata: a\n\n"), text("data: b\n\n"), echoID, status(204)},
			nil,
			"connecting, open, a, waiting 1s, connecting, open, b, waiting 2s, connecting, open, from 7, waiting 4s, connecting, closed", "",
		},
		{
			"empty id is not sent",
			steps{text("id: 7\ndata: a\n\nid\n\n"), echoID, status(204)},
			nil,
			"connecting, open, a, waiting 1s, connecting, open, from , waiting 2s, connecting, closed", "",
		},
		{
			"starts from an id",
			steps{echoID, status(204)},
			[]sse.ClientOption{sse.WithLastEventID("3")},
			"connecting, open, from 3, waiting 1s, connecting, closed", "",
		},
		{
			"server's retry is added to",
			steps{text("retry: 5000\n\n"), text(""), status(204)},
			nil,
			"connecting, open, waiting 6s, connecting, open, waiting 7s, connecting, closed", "",
		},
		{
			"server's retry is capped",
			steps{text("retry: 99999999999999\n\n"), status(204)},
			nil,
			"connecting, open, waiting 5m1s, connecting, closed", "",
		},
		{
			"backoff is capped",
			steps{text(""), text(""), text(""), text(""), text(""), status(204)},
			nil,
			"connecting, open, waiting 1s, connecting, open, waiting 2s, connecting, open, waiting 4s, connecting, open, waiting 8s, connecting, open, waiting 8s, connecting, closed", "",
		},
		{"statuses are final", steps{status(503)}, nil, "connecting, closed", `server answered 503: "because\n"`},
		{
			"chosen statuses are tried again",
			steps{status(503), status(429), status(204)},
			[]sse.ClientOption{sse.WithRetryStatus()},
			"connecting, waiting 1s, connecting, waiting 2s, connecting, closed", "",
		},
		{
			"Retry-After",
			steps{status(503, "Retry-After", "60"), status(503, "Retry-After", "99999999"), status(204)},
			[]sse.ClientOption{sse.WithRetryStatus(503)},
			"connecting, waiting 1m0s, connecting, waiting 5m0s, connecting, closed", "",
		},
		{"other statuses stay final", steps{status(401)}, []sse.ClientOption{sse.WithRetryStatus()}, "connecting, closed", "401"},
		{
			"content type",
			steps{func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") }},
			nil,
			"connecting, closed", `content type "text/html`,
		},
		{
			"gives up",
			steps{cut200},
			[]sse.ClientOption{sse.WithMaxAttempts(3)},
			"connecting, waiting 1s, connecting, waiting 2s, connecting, closed", "gave up connecting after 3 attempts",
		},
		{
			"oversize event",
			steps{text("data: " + strings.Repeat("x", 100) + "\n\n")},
			[]sse.ClientOption{sse.WithMaxEventSize(50)},
			"connecting, open, closed", "50 bytes",
		},
		{"once, clean", steps{text("data: a\n\n")}, []sse.ClientOption{sse.WithoutReconnect()}, "connecting, open, a, closed", ""},
		{"once, cut", steps{cut("data: a\n\n")}, []sse.ClientOption{sse.WithoutReconnect()}, "connecting, open, a, closed", "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := follow(t, tt.steps, tt.opts...)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
		})
	}
}

// cut200 breaks the connection before any header.
func cut200(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hold keeps a stream open for d, with heartbeats at the interval.
func hold(d, beat time.Duration) http.HandlerFunc {
	return sse.Handler(func(ctx context.Context, s *sse.Stream) error {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		return nil
	}, sse.WithHeartbeat(beat)).ServeHTTP
}

func TestClientStableConnectionResetsBackoff(t *testing.T) {
	t.Parallel()
	got, err := follow(t, []http.HandlerFunc{text(""), text(""), hold(11*time.Second, 0), text(""), status(204)})
	want := "connecting, open, waiting 1s, connecting, open, waiting 2s, connecting, open, waiting 1s, connecting, open, waiting 2s, connecting, closed"
	if got != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestClientIdleTimeout(t *testing.T) {
	t.Parallel()
	// Heartbeats keep the first stream; the second has none and is given up after 45 s.
	start := time.Now()
	got, err := follow(t, []http.HandlerFunc{hold(10*time.Minute, 15*time.Second), hold(time.Hour, 0), status(204)}, sse.WithIdleTimeout(45*time.Second))
	want := "connecting, open, waiting 1s, connecting, open, waiting 1s, connecting, closed"
	if got != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if time.Since(start) > 30*time.Second {
		t.Error("real time passed")
	}
}

func TestClientIdleTimeoutSparesSlowHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveMemory(t, text("data: a\n\ndata: b\n\n"))
		c, err := sse.NewClient("http://memory/", sse.WithHTTPClient(srv.client), sse.WithIdleTimeout(time.Second), sse.WithoutReconnect())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = c.Run(t.Context(), func(sse.Event) error {
			time.Sleep(time.Minute)
			n++
			return nil
		})
		if n != 2 || err != nil {
			t.Errorf("%d events, %v", n, err)
		}
	})
}

func TestClientConnectTimeout(t *testing.T) {
	t.Parallel()
	slow := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	got, err := follow(t, []http.HandlerFunc{slow}, sse.WithConnectTimeout(20*time.Second), sse.WithMaxAttempts(2))
	if want := "connecting, waiting 1s, connecting, closed"; got != want || !errors.Is(err, sse.ErrGaveUp) || !errors.Is(err, sse.ErrConnectTimeout) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestClientRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		srv := serveMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			seen = append(seen, fmt.Sprintf("%s %s %s %s %q %q", r.Method, r.Header.Get("Accept"), r.Header.Get("Content-Type"), r.Header.Get("X-A"), r.Header.Get("Authorization"), body))
			if len(seen) == 2 {
				w.WriteHeader(204)
				return
			}
			text("")(w, r)
		}))
		token := 0
		c, err := sse.NewClient("http://memory/", sse.WithHTTPClient(srv.client), sse.WithHeader("X-A", "b"),
			sse.WithBody("POST", "application/json", []byte("{}")),
			sse.WithRequestFunc(func(r *http.Request) error {
				if token++; token == 2 {
					return errors.New("token service is down") // counts as a failed attempt
				}
				r.Header.Set("Authorization", fmt.Sprint("t", token))
				return nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context(), func(sse.Event) error { return nil }); err != nil {
			t.Fatal(err)
		}
		want := []string{`POST text/event-stream application/json b "t1" "{}"`, `POST text/event-stream application/json b "t3" "{}"`}
		if fmt.Sprint(seen) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", seen, want)
		}
	})
}

func TestClientHandlerError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveMemory(t, text("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"))
		c, err := sse.NewClient("http://memory/", sse.WithHTTPClient(srv.client))
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("broken")
		err = c.Run(t.Context(), func(ev sse.Event) error {
			if err := c.Run(t.Context(), nil); err != sse.ErrRunning {
				t.Errorf("a second Run: %v", err)
			}
			if string(ev.Data) == "b" {
				return broken
			}
			return nil
		})
		if err != broken {
			t.Errorf("got %v, want the handler's error", err)
		}
		if id := c.LastEventID(); id != "1" {
			t.Errorf("id %q: the event that failed would be lost", id)
		}
	})
}

func TestClientEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveMemory(t, &script{steps: []http.HandlerFunc{text("data: a\n\ndata: b\n\n"), text("data: c\n\n"), status(410)}})
		c, err := sse.NewClient("http://memory/", sse.WithHTTPClient(srv.client))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for ev, err := range c.Events(ctx) {
			if err != nil || string(ev.Data) != "a" {
				t.Fatalf("%q, %v", ev.Data, err)
			}
			cancel() // leaving the loop beside a cancelled context must not call it again
			break
		}
		var got []string
		for ev, err := range c.Events(t.Context()) {
			if err != nil {
				se, ok := errors.AsType[*sse.StatusError](err)
				if !ok || se.Status != 410 {
					t.Errorf("got %v", err)
				}
				got = append(got, "error")
				continue
			}
			got = append(got, string(ev.Data))
		}
		if fmt.Sprint(got) != "[c error]" {
			t.Errorf("got %v", got)
		}
	})
}

func TestClientContextEnds(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]http.HandlerFunc{"while open": hold(time.Hour, 0), "while waiting": text("retry: 200000\n\n"), "while connecting": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := serveMemory(t, step)
				c, err := sse.NewClient("http://memory/", sse.WithHTTPClient(srv.client), sse.WithConnectTimeout(0))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				if err := c.Run(ctx, func(sse.Event) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if d := time.Since(start); d != time.Minute {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

func TestNewClientRefuses(t *testing.T) {
	t.Parallel()
	_, err := sse.NewClient("ws://host", sse.WithHTTPClient(&http.Client{Timeout: time.Second}), sse.WithHTTPClient(nil), sse.WithHeader("last-event-id", "1"),
		sse.WithHeader("", ""), sse.WithRequestFunc(nil), sse.WithBody("", "", nil), sse.WithBackoff(comm.Backoff{Base: -1}), sse.WithMaxAttempts(-1),
		sse.WithRetryStatus(204), sse.WithLastEventID("a\n"), sse.WithMaxEventSize(0), sse.WithConnectTimeout(-1), sse.WithIdleTimeout(-1), sse.WithOnState(nil), nil)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`"ws://host"`, "Timeout is 1s", "WithHTTPClient(nil)", "Last-Event-Id", "name is empty", "WithRequestFunc", "WithBody", "WithBackoff", "WithMaxAttempts(-1)",
		"WithRetryStatus(204)", `field "id"`, "WithMaxEventSize(0)", "WithConnectTimeout(-1ns)", "WithIdleTimeout(-1ns)", "WithOnState", "nil ClientOption",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	for _, url := range []string{"", "/path", "http://", "http://a b", "ftp://x"} {
		if _, err := sse.NewClient(url); err == nil {
			t.Errorf("URL %q was accepted", url)
		}
	}
}

// Client and server over real sockets, across cuts, HTTP/1.1, h2 and hijack: every event once and in order.
func TestClientAcrossCuts(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, opts ...sse.AcceptOption) {
		const events = 200
		srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			next := 1
			_, _ = fmt.Sscan(s.LastEventID(), &next)
			if s.LastEventID() != "" {
				next++
			}
			for i := next; i < next+30 && i <= events; i++ {
				if err := s.Send(ctx, sse.Event{ID: fmt.Sprint(i), Data: fmt.Append(nil, i)}); err != nil {
					return err
				}
			}
			return nil
		}, opts...), h2)
		c, err := sse.NewClient(srv.URL, sse.WithHTTPClient(srv.Client()), sse.WithBackoff(comm.Backoff{Base: time.Millisecond, Max: time.Millisecond}))
		if err != nil {
			t.Fatal(err)
		}
		want := 1
		for ev, err := range c.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if string(ev.Data) != fmt.Sprint(want) {
				t.Fatalf("got %s, want %d", ev.Data, want)
			}
			if want++; want > events {
				break
			}
		}
	})
}
