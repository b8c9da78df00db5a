package commhttp_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

// gateway runs a manager with the http provider in memory, and returns a client of it.
func gateway(t testing.TB, opts []comm.Option, httpOpts ...commhttp.Option) (*comm.Manager, *http.Client) {
	t.Helper()
	m := must(comm.New(append([]comm.Option{
		comm.WithInMemory(), comm.WithLogger(quiet), comm.WithDrainSpread(0),
		comm.WithProvider(commhttp.New(httpOpts...)),
	}, opts...)...))
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: m.DialContext, DisableCompression: true, MaxIdleConnsPerHost: 100}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := m.Stop(ctx); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		m.Close()
	})
	return m, &http.Client{Transport: transport}
}

func TestSmoke(t *testing.T) {
	m, client := gateway(t, []comm.Option{comm.WithOpenAccess()}, commhttp.HandleFunc("GET /hi", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hi") }))
	a := ask(t, client, "GET", "http://gw/hi", nil)
	t.Log(a.StatusCode, a.body)
	a = ask(t, client, "GET", "http://gw/livez", nil)
	t.Log(a.StatusCode, a.body)
	a = ask(t, client, "GET", "http://gw/nope", nil)
	t.Log(a.StatusCode, a.body)
	a = ask(t, client, "GET", "http://gw/poll?group=lobby", nil)
	t.Log(a.StatusCode, a.body)

	c := must(comm.NewClient([]comm.Dialer{commhttp.Dialer("http://gw/poll", commhttp.WithHTTPClient(client))}, comm.WithGroups("lobby")))
	got := make(chan string, 1)
	c.On("x", func(_ context.Context, msg *comm.Message) error { got <- string(msg.Content()); return nil })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	if err := c.Send(ctx, must(comm.NewMessage("y", 1))); err != nil {
		t.Fatal(err)
	}
	_, err := m.Send(ctx, comm.ToGroup("lobby"), must(comm.NewMessage("x", "hello")))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(<-got)
	cancel()
	t.Log(<-done)
}
