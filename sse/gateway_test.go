package sse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// gateway is a running manager with the SSE provider and a client's way to it.
type gateway struct {
	*comm.Manager
	url  string
	http *http.Client
}

// startGateway serves on loopback, or in memory if the options say so. It ends with the test.
func startGateway(t testing.TB, p []sse.ProviderOption, opts ...comm.Option) *gateway {
	t.Helper()
	opts = append([]comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(sse.New(p...)),
	}, opts...)
	m, err := comm.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addrs, err := m.Addrs("sse")
	if err != nil || len(addrs) != 1 {
		t.Fatal(addrs, err)
	}
	tr := &http.Transport{}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return &gateway{m, "http://" + addrs[0] + "/events", &http.Client{Transport: tr}}
}

// startMemory is startGateway without sockets, for synctest.
func startMemory(t testing.TB, p []sse.ProviderOption, opts ...comm.Option) *gateway {
	t.Helper()
	g := startGateway(t, p, append(opts, comm.WithInMemory())...)
	g.url = "http://gateway/events"
	g.http.Transport.(*http.Transport).DialContext = g.DialContext
	return g
}

// do makes a request and returns status, headers and body.
func (g *gateway) do(t testing.TB, method, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	res := g.open(t, method, g.url, body, header...)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// open makes a request whose body the caller reads. Headers are name, value, ...
func (g *gateway) open(t testing.TB, method, url, body string, header ...string) *http.Response {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "chunked" {
			req.ContentLength = -1
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := g.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// source is a bare EventSource: it opens a stream and reads events.
type source struct {
	t       testing.TB
	res     *http.Response
	d       *sse.Decoder
	welcome map[string]any
}

// subscribe opens a simple client's stream and reads its welcome.
func (g *gateway) subscribe(t testing.TB, query string, header ...string) *source {
	t.Helper()
	return newSource(t, g.open(t, "GET", g.url+query, "", header...))
}

// hello opens a protocol client's stream and reads its welcome.
func (g *gateway) hello(t testing.TB, hello string, header ...string) *source {
	t.Helper()
	header = append([]string{"Accept", sse.ContentType, "Content-Type", "application/json"}, header...)
	return newSource(t, g.open(t, "POST", g.url, hello, header...))
}

func newSource(t testing.TB, res *http.Response) *source {
	t.Helper()
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 {
		b, _ := io.ReadAll(res.Body)
		t.Fatalf("status %d: %s", res.StatusCode, b)
	}
	s := &source{t: t, res: res, d: sse.NewDecoder(res.Body)}
	s.welcome = s.frame("welcome")
	return s
}

// next returns the next event and its frame.
func (s *source) next() (sse.Event, map[string]any) {
	s.t.Helper()
	ev, err := s.d.Next()
	if err != nil {
		s.t.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(ev.Data, &f); err != nil {
		s.t.Fatalf("%v: %s", err, ev.Data)
	}
	return ev, f
}

// frame returns the next frame, which must be of that op.
func (s *source) frame(op string) map[string]any {
	s.t.Helper()
	ev, f := s.next()
	if f["op"] != op || ev.Type != "control" {
		s.t.Fatalf("got event %q %s, want op %q", ev.Type, ev.Data, op)
	}
	return f
}

// message returns the next event, which must be a message with that content.
func (s *source) message(content string) sse.Event {
	s.t.Helper()
	ev, f := s.next()
	got, _ := json.Marshal(f["content"])
	if ev.Type != "" || f["op"] != nil || string(got) != content {
		s.t.Fatalf("got event %q %s, want a message with %s", ev.Type, ev.Data, content)
	}
	return ev
}

// ends reads to the end of the stream, in which nothing more may come.
func (s *source) ends() {
	s.t.Helper()
	if ev, err := s.d.Next(); err != io.EOF {
		s.t.Fatalf("got %q %s, %v; want the end of the stream", ev.Type, ev.Data, err)
	}
}

// names are the headers of an upward request.
func (s *source) names() []string {
	return []string{"Comm-Connection", s.welcome["conn"].(string), "Comm-Session", s.welcome["session"].(string), "Content-Type", "application/json"}
}

func message(t testing.TB, typ string, content any) *comm.Message {
	t.Helper()
	m, err := comm.NewMessage(typ, content)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (g *gateway) send(t testing.TB, to comm.Target, content any) {
	t.Helper()
	if _, err := g.Send(t.Context(), to, message(t, "note", content)); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition on real time, for at most a minute.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: " + what)
		}
	}
}

// runClient runs a comm.Client until the test ends.
func runClient(t testing.TB, d comm.Dialer, opts ...comm.ClientOption) *comm.Client {
	t.Helper()
	c, err := comm.NewClient([]comm.Dialer{d}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

func contains(b, part string) bool { return bytes.Contains([]byte(b), []byte(part)) }
