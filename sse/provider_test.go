package sse_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// TestCarriers runs a client of the protocol over every way that HTTP has.
func TestCarriers(t *testing.T) {
	t.Parallel()
	type way struct {
		name   string
		opts   []sse.ProviderOption
		tls    bool
		client func(*http.Transport)
	}
	for _, w := range []way{
		{name: "http/1.1"},
		{name: "http/1.1 hijacked", opts: []sse.ProviderOption{sse.WithHijack()}},
		{name: "h2c", client: func(t *http.Transport) { t.Protocols = protocols(false, false, true) }},
		{name: "h2c hijack allowed", opts: []sse.ProviderOption{sse.WithHijack()}, client: func(t *http.Transport) { t.Protocols = protocols(false, false, true) }},
		{name: "https/1.1 hijacked", tls: true, opts: []sse.ProviderOption{sse.WithHijack()}, client: func(t *http.Transport) { t.Protocols = protocols(true, false, false) }},
		{name: "h2", tls: true, client: func(t *http.Transport) { t.Protocols = protocols(false, true, false) }},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			opts := []comm.Option{comm.WithOpenAccess()}
			if w.tls {
				opts = append(opts, comm.WithDevelopmentCertificate())
			}
			g := startGateway(t, w.opts, opts...)
			tr := &http.Transport{}
			t.Cleanup(tr.CloseIdleConnections)
			if w.client != nil {
				w.client(tr)
			}
			url := g.url
			if w.tls {
				url = "https" + url[len("http"):]
				tr.TLSClientConfig, _ = g.DevelopmentCertificate()
			}
			exchange(t, g, sse.Dialer(url, sse.WithHTTPClient(&http.Client{Transport: tr})))
		})
	}
}

func protocols(h1, h2, h2c bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(h1)
	p.SetHTTP2(h2)
	p.SetUnencryptedHTTP2(h2c)
	return p
}

// exchange says something both ways: a join, messages to a group in order, a call each way, an ack and
// a refusal that leaves the connection.
func exchange(t *testing.T, g *gateway, d comm.Dialer) {
	comm.On(g.Manager, "count", func(ctx context.Context, c *comm.Conn, n int) error {
		m, err := comm.NewMessage("counted", n+1)
		if err == nil {
			_, err = c.Send(ctx, m)
		}
		return err
	})
	comm.OnCall(g.Manager, "double", func(_ context.Context, _ *comm.Conn, n int) (int, error) { return 2 * n, nil })
	c := runClient(t, d)
	counted, notes := make(chan int, 1), make(chan int, 500)
	c.On("counted", func(_ context.Context, m *comm.Message) error {
		n, err := comm.Decode[int](m)
		counted <- n
		return err
	})
	c.On("note", func(_ context.Context, m *comm.Message) error {
		n, err := comm.Decode[int](m)
		notes <- n
		return err
	})
	c.OnCall("name", func(context.Context, *comm.Message) (any, error) { return "ann", nil })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Join(ctx, "lobby"); err != nil {
		t.Fatal(err)
	}
	if err := c.SendAck(ctx, message(t, "count", 41)); err != nil {
		t.Fatal(err)
	}
	if n := <-counted; n != 42 {
		t.Fatal(n)
	}
	reply, err := c.Call(ctx, message(t, "double", 21))
	if err != nil || string(reply.Content()) != "42" {
		t.Fatal(reply, err)
	}
	reply, err = g.Call(ctx, c.Welcome().Conn, message(t, "name", nil))
	if err != nil || string(reply.Content()) != `"ann"` {
		t.Fatal(reply, err)
	}
	if err := c.SendAck(ctx, message(t, "nobody", 1)); err == nil || !contains(err.Error(), "unknown_type") {
		t.Fatal(err)
	}
	for i := range 500 {
		g.send(t, comm.ToGroup("lobby"), i)
	}
	for i := range 500 {
		if n := <-notes; n != i {
			t.Fatalf("got %d, want %d", n, i)
		}
	}
	if p := c.Position(); p.Len() != 1 {
		t.Fatal(p)
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	own := sse.New(sse.WithAddr("127.0.0.1:0"), sse.WithTLS(new(tls.Config)))
	if list := sse.New().Features(); !slices.Contains(list, comm.FeatureSSE) || slices.Contains(list, comm.FeatureHTTPS) {
		t.Error(list)
	}
	if _, err := comm.New(comm.WithProvider(own), comm.WithInMemory()); err != nil {
		t.Fatal(err)
	}
	if list := own.Features(); !slices.Contains(list, comm.FeatureHTTPS) {
		t.Error(list)
	}
}

func TestBadProviderOptions(t *testing.T) {
	t.Parallel()
	_, err := comm.New(comm.WithInMemory(), comm.WithProvider(sse.New(
		nil, sse.WithPath("events"), sse.WithAddr("nowhere"), sse.WithMaxConnections(0), sse.WithHeartbeat(0), sse.WithRetry(-time.Second), sse.WithTLS(nil),
	)))
	for _, part := range []string{
		"option is nil", `path "events"`, `WithAddr("nowhere")`, "WithMaxConnections(0)", "WithHeartbeat(0s)", "WithRetry(-1s)", "WithTLS(nil)",
	} {
		if err == nil || !contains(err.Error(), part) {
			t.Errorf("%s is not in: %v", part, err)
		}
	}
	_, err = comm.New(comm.WithInMemory(), comm.WithProvider(sse.New(sse.WithTLS(new(tls.Config)))))
	if err == nil || !contains(err.Error(), "address of the provider's own") {
		t.Error(err)
	}
	p := sse.New()
	if _, err := comm.New(comm.WithInMemory(), comm.WithProvider(p)); err != nil {
		t.Error(err)
	}
	if _, err := comm.New(comm.WithInMemory(), comm.WithProvider(p)); err == nil {
		t.Error("a provider serves two managers")
	}
}

func TestEventsOnTheWire(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil, comm.WithOpenAccess())
	plain := g.subscribe(t, "")
	if ev, _ := func() (sse.Event, error) {
		g.send(t, comm.ToConn(plain.welcome["conn"].(string)), 1)
		return plain.message("1"), nil
	}(); ev.ID != "" {
		t.Errorf("an id without a log: %q", ev.ID)
	}
	s := g.subscribe(t, "?group=b&group=a")
	var last sse.Event
	var epochs [2]string
	for i, group := range []string{"b", "a"} {
		ev, f := s.next()
		if f["op"] != "joined" || f["group"] != group {
			t.Fatalf("%s", ev.Data)
		}
		epochs[i], last = f["epoch"].(string), ev
	}
	if want := fmt.Sprintf("group:a@%s:0,group:b@%s:0", epochs[1], epochs[0]); last.ID != want {
		t.Fatalf("id %q, want %q", last.ID, want)
	}
	g.send(t, comm.ToGroup("a"), "x")
	if ev, want := s.message(`"x"`), fmt.Sprintf("group:a@%s:1,group:b@%s:0", epochs[1], epochs[0]); ev.ID != want {
		t.Fatalf("id %q, want %q", ev.ID, want)
	}
	conn := g.Connection(s.welcome["conn"].(string))
	for _, group := range []string{"a", "b"} {
		if err := conn.Leave(group); err != nil {
			t.Fatal(err)
		}
		last, _ = s.next()
	}
	if last.ID != "" {
		t.Errorf("the id stays after the last log: %q", last.ID)
	}
}

// TestResume is a bare EventSource that is cut off and comes back with Last-Event-ID alone.
func TestResume(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil, comm.WithOpenAccess(), comm.WithHistory(&comm.MemoryStore{Messages: 10}))
	witness := g.subscribe(t, "?group=lobby")
	witness.frame("joined")
	s := g.subscribe(t, "?group=lobby")
	s.frame("joined")
	g.send(t, comm.ToGroup("lobby"), 1)
	id := s.message("1").ID
	s.res.Body.Close()
	for i := 2; i <= 5; i++ {
		g.send(t, comm.ToGroup("lobby"), i)
	}
	s = g.subscribe(t, "?group=lobby", "Last-Event-ID", id)
	if f := s.frame("joined"); f["offset"] != 1.0 {
		t.Fatal(f)
	}
	for i := 2; i <= 5; i++ {
		id = s.message(fmt.Sprint(i)).ID
	}
	s.res.Body.Close()
	for i := 6; i <= 25; i++ {
		g.send(t, comm.ToGroup("lobby"), i)
	}
	s = g.subscribe(t, "?group=lobby", "Last-Event-ID", id)
	s.frame("joined")
	gap := s.frame("gap")
	if gap["from"] != 6.0 || gap["to"] != 15.0 || gap["log"] != "group:lobby" {
		t.Fatal(gap)
	}
	for i := 16; i <= 25; i++ {
		s.message(fmt.Sprint(i))
	}
	for i := 1; i <= 25; i++ {
		witness.message(fmt.Sprint(i))
	}
	// by query, from an epoch that is no more: what of it was lost is unknown, and what of the new one is
	s = g.subscribe(t, "?group=lobby&position=group:lobby@zz.9:3")
	s.frame("joined")
	if gap := s.frame("gap"); gap["to"] != nil || gap["epoch"] != "zz.9" || gap["from"] != 4.0 {
		t.Fatal(gap)
	}
	if gap := s.frame("gap"); gap["from"] != 1.0 || gap["to"] != 15.0 {
		t.Fatal(gap)
	}
	s.message("16")
}
