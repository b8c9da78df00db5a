package commhttp_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

// cutting is a connection that breaks after some bytes in either direction.
type cutting struct {
	net.Conn
	left, cuts *atomic.Int64
}

func (c cutting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return c.spend(n, err)
}

func (c cutting) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return c.spend(n, err)
}

func (c cutting) spend(n int, err error) (int, error) {
	if left := c.left.Add(-int64(n)); left < 0 {
		if left+int64(n) >= 0 {
			c.cuts.Add(1)
		}
		c.Conn.Close()
		return 0, errors.New("cut")
	}
	return n, err
}

// Connections break at random bytes, and every message still arrives once and in order, on one and
// the same connection of the gateway: no answer is lost between two polls.
func TestCuts(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	rnd := rand.New(rand.NewPCG(seed, 1))
	synctest.Test(t, func(t *testing.T) {
		m, _ := gateway(t, []comm.Option{comm.WithOpenAccess()})
		var cuts atomic.Int64
		first := true
		var dialing sync.Mutex // guards rnd and first: a poll and a goodbye may dial at once
		transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := m.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			var left atomic.Int64
			left.Store(1 << 20)
			dialing.Lock()
			defer dialing.Unlock()
			if rnd.IntN(2) == 0 {
				left.Store(rnd.Int64N(3000))
			}
			if first { // the hello itself is not a poll: its loss is another client
				left.Store(1 << 20)
				first = false
			}
			return cutting{c, &left, &cuts}, nil
		}}
		defer transport.CloseIdleConnections()
		opened := make(chan string, 100)
		d := commhttp.Dialer("http://gw/poll", commhttp.WithHTTPClient(&http.Client{Transport: onePerPoll{transport}}))
		c, got := runClient(t, d, comm.WithGroups("g"), comm.WithOnState(func(s comm.StateChange) {
			if s.State == comm.ClientConnected {
				opened <- s.Carrier
			}
		}))
		eventually(t, "the join", func() bool { return m.ConnectionCount(comm.ToGroup("g")) == 1 })
		conn := c.Welcome().Conn
		const n = 2000
		go func() {
			for i := range n {
				send(t, m, comm.ToGroup("g"), i)
				if i%5 == 0 {
					time.Sleep(200 * time.Millisecond)
				}
			}
		}()
		for i := range n {
			if s := <-got; s != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", s, i)
			}
		}
		if c.Welcome().Conn != conn || len(opened) != 1 {
			t.Errorf("%d connections: a cut was felt", len(opened))
		}
		t.Logf("%d connections were cut", cuts.Load())
		if cuts.Load() < 50 {
			t.Errorf("only %d cuts", cuts.Load())
		}
	})
}

// onePerPoll keeps net/http from trying again by itself: it does so for a request on a kept
// connection.
type onePerPoll struct{ *http.Transport }

func (o onePerPoll) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Close = r.Method == http.MethodGet
	return o.Transport.RoundTrip(r)
}

func TestDialerErrors(t *testing.T) {
	t.Parallel()
	status := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	const frame = `{"op":"error","code":"%s","message":"because"}`
	for _, c := range []struct {
		name  string
		h     http.HandlerFunc
		check func(error) bool
	}{
		{"401", status(401, fmt.Sprintf(frame, "unauthenticated")), func(err error) bool {
			r, ok := errors.AsType[comm.CloseReason](err)
			return ok && r.Kind == comm.ReasonUnauthorized && !r.Reconnect() && r.Text == "because"
		}},
		{"403", status(403, "no"), func(err error) bool { return comm.ReasonOf(err) == comm.ReasonUnauthorized }},
		{"revoked", status(403, fmt.Sprintf(frame, "session_revoked")), func(err error) bool {
			pe, ok := errors.AsType[*comm.PeerError](err)
			return ok && pe.Code == comm.CodeSessionRevoked
		}},
		{"400", status(400, fmt.Sprintf(frame, "unsupported_version")), func(err error) bool {
			pe, ok := errors.AsType[*comm.PeerError](err)
			return ok && pe.Code == comm.CodeUnsupportedVersion && pe.Message == "because"
		}},
		{"410", status(410, ""), func(err error) bool {
			r, ok := errors.AsType[comm.CloseReason](err)
			return ok && r.Kind == comm.ReasonLost && r.Reconnect()
		}},
		{"503", status(503, "", "Retry-After", "7"), func(err error) bool {
			le, ok := errors.AsType[*comm.LimitError](err)
			return ok && le.Retry == 7*time.Second
		}},
		{"a day", status(503, "", "Retry-After", "86400"), func(err error) bool {
			le, ok := errors.AsType[*comm.LimitError](err)
			return ok && le.Retry == 10*time.Minute
		}},
		{"404 of something else", status(404, "page not found"), func(err error) bool { return err != nil }},
		{"a page", status(200, "<html>"), func(err error) bool { return comm.ReasonOf(err) == comm.ReasonProtocol }},
		{"no welcome", status(200, `{"conn":"a","cursor":"1","frames":[]}`), func(err error) bool { return comm.ReasonOf(err) == comm.ReasonProtocol }},
		{"redirect", status(307, "", "Location", "http://127.0.0.1:1/"), func(err error) bool {
			return err != nil && err.Error() == "commhttp: polling: the server answered 307 Temporary Redirect"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(c.h)
			defer srv.Close()
			d := commhttp.Dialer(srv.URL, commhttp.WithHTTPClient(srv.Client()))
			if _, err := d.Dial(t.Context(), helloFrame); !c.check(err) {
				t.Errorf("got %v (%T)", err, err)
			}
		})
	}
	for _, bad := range []string{"", "ws://h/", "http://", ":"} {
		_, err := commhttp.Dialer(bad).Dial(t.Context(), helloFrame)
		if r, ok := errors.AsType[comm.CloseReason](err); !ok || r.Reconnect() {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

var helloFrame = &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{Version: 1}}

// A bad frame among those that gathered fails alone; the others arrive, in order.
func TestDialerSend(t *testing.T) {
	t.Parallel()
	m, client := gateway(t, []comm.Option{comm.WithMaxMessage(2048)})
	got := make(chan int, 1000)
	comm.On(m, "n", func(_ context.Context, _ *comm.Conn, n int) error { got <- n; return nil })
	c := must(commhttp.Dialer("http://gw/poll", commhttp.WithHTTPClient(client)).Dial(t.Context(), helloFrame))
	for i := range 300 {
		if err := c.Send(t.Context(), &comm.Frame{Op: comm.OpMessage, Message: must(comm.NewMessage("n", i))}); err != nil {
			t.Fatal(err)
		}
		equal(t, "order", <-got, i)
	}
	results := make(chan error, 100)
	for i := range 100 {
		go func() {
			f := &comm.Frame{Op: comm.OpMessage, Message: must(comm.NewMessage("n", i))}
			switch i % 10 {
			case 5:
				f.Message = must(comm.NewMessage("n", string(make([]byte, 1024)))) // escapes make it larger than a message may be
			case 7:
				f = &comm.Frame{Op: comm.OpPing, ID: strings.Repeat("x", 200)} // longer than an id may be
			}
			results <- c.Send(t.Context(), f)
		}()
	}
	failed := make(map[comm.Code]int)
	for range 100 {
		if err := <-results; err != nil {
			pe, ok := errors.AsType[*comm.PeerError](err)
			if !ok {
				t.Fatal(err)
			}
			failed[pe.Code]++
		}
	}
	equal(t, "failed", fmt.Sprint(failed), fmt.Sprint(map[comm.Code]int{comm.CodeBadFrame: 10, comm.CodeTooLarge: 10}))
	for range 80 {
		<-got
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Send(t.Context(), &comm.Frame{Op: comm.OpPing}); err == nil {
		t.Error("sent after Close")
	}
	eventually(t, "goodbye", func() bool { return m.ConnectionCount(comm.ToAll()) == 0 })
	if _, err := c.Receive(t.Context()); err != nil {
		for err == nil {
			_, err = c.Receive(t.Context())
		}
	}
}
