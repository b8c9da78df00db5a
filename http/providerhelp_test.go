package commhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

var quiet = slog.New(slog.DiscardHandler)

// gateway runs a manager with the http provider in memory, and returns an HTTP client of it. It may
// be called in a synctest bubble.
func gateway(t testing.TB, opts []comm.Option, httpOpts ...commhttp.Option) (*comm.Manager, *http.Client) {
	t.Helper()
	m := must(comm.New(append([]comm.Option{
		comm.WithInMemory(), comm.WithLogger(quiet), comm.WithDrainSpread(0), comm.WithProvider(commhttp.New(httpOpts...)),
	}, opts...)...))
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: m.DialContext, DisableCompression: true, MaxIdleConnsPerHost: 100}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		m.Close()
	})
	return m, &http.Client{Transport: transport}
}

// poller is a polling client by hand.
type poller struct {
	t             testing.TB
	client        *http.Client
	url           string
	conn, session string
	cursor        string
}

// openPoll opens a simple client that is in the groups.
func openPoll(t testing.TB, client *http.Client, groups ...string) *poller {
	t.Helper()
	p := &poller{t: t, client: client, url: "http://gw/poll"}
	query := ""
	if len(groups) > 0 {
		query = "?group=" + strings.Join(groups, "&group=")
	}
	frames := p.take(ask(t, client, "GET", p.url+query, nil))
	if len(frames) != 1+len(groups) || frames[0].Op != comm.OpWelcome {
		t.Fatalf("opened with %d frames", len(frames))
	}
	p.conn, p.session = frames[0].Welcome.Conn, frames[0].Welcome.Session
	t.Cleanup(p.goodbye)
	return p
}

// goodbye spares the gateway the wait for a client that might still come.
func (p *poller) goodbye() {
	_, _ = tryAsk(context.Background(), p.client, "DELETE", p.url, nil, "Comm-Connection", p.conn, "Comm-Session", p.session)
}

// take reads an answer of 200.
func (p *poller) take(a answer) []*comm.Frame {
	p.t.Helper()
	var body struct {
		Conn, Cursor string
		Frames       []json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.body), &body); a.StatusCode != 200 || err != nil || body.Cursor == "" {
		p.t.Fatalf("answer %d %s", a.StatusCode, a.body)
	}
	p.cursor = body.Cursor
	var frames []*comm.Frame
	for _, raw := range body.Frames {
		frames = append(frames, must(comm.JSON().ParseFrame(raw)))
	}
	return frames
}

func (p *poller) at(cursor, wait string) string {
	return fmt.Sprintf("%s?conn=%s&cursor=%s&wait=%s", p.url, p.conn, cursor, wait)
}

// poll makes one poll with the cursor of the last answer.
func (p *poller) poll(wait string) answer {
	p.t.Helper()
	return ask(p.t, p.client, "GET", p.at(p.cursor, wait), nil, "Comm-Session", p.session)
}

// next polls until one frame or more have come.
func (p *poller) next() []*comm.Frame {
	p.t.Helper()
	for {
		if a := p.poll("30000"); a.StatusCode != 204 {
			return p.take(a)
		}
	}
}

// up sends a body upward.
func (p *poller) up(body string) answer {
	p.t.Helper()
	return ask(p.t, p.client, "POST", p.url, strings.NewReader(body), "Comm-Connection", p.conn, "Comm-Session", p.session)
}

// witness is a client that must receive everything, whatever others do. The returned func sends one
// more message, and checks that it and all before have come.
func witness(t testing.TB, m *comm.Manager, client *http.Client) (check func()) {
	t.Helper()
	p := openPoll(t, client, "witness")
	n := 0
	return func() {
		t.Helper()
		n++
		send(t, m, comm.ToGroup("witness"), n)
		frames := p.next()
		if len(frames) != 1 || contentOf(frames[0]) != fmt.Sprint(n) {
			t.Fatalf("the witness got %d frames, first %s, want message %d", len(frames), contentOf(frames[0]), n)
		}
	}
}

func send(t testing.TB, m *comm.Manager, to comm.Target, content any) comm.Delivery {
	t.Helper()
	d, err := m.Send(t.Context(), to, must(comm.NewMessage("n", content)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func contentOf(f *comm.Frame) string {
	if f.Message == nil {
		return f.Op.String()
	}
	return string(f.Message.Content())
}

// refused checks a status and the code of the error frame in the body.
func refused(t testing.TB, a answer, status int, code comm.Code) *comm.Frame {
	t.Helper()
	f, err := comm.JSON().ParseFrame([]byte(a.body))
	if a.StatusCode != status || err != nil || f.Op != comm.OpError || f.Code != code || f.Text == "" {
		t.Fatalf("got %d %s, want %d and %s", a.StatusCode, a.body, status, code)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	return f
}

// runClient runs a comm.Client over polling until the test ends.
func runClient(t testing.TB, d comm.Dialer, opts ...comm.ClientOption) (*comm.Client, <-chan string) {
	t.Helper()
	c := must(comm.NewClient([]comm.Dialer{d}, opts...))
	got := make(chan string, 10_000)
	c.On("n", func(_ context.Context, msg *comm.Message) error { got <- string(msg.Content()); return nil })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, comm.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
	})
	return c, got
}

// eventually waits for what another goroutine is about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for wait := time.Millisecond; !ok(); wait *= 2 {
		if wait > 30*time.Second {
			t.Fatalf("%s: did not happen", what)
		}
		time.Sleep(wait)
	}
}
