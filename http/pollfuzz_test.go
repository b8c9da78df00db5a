package commhttp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commhttp "github.com/anasamu/comm/http"
)

// Whatever a query says, it is refused or it is a cursor and a wait within bounds.
func FuzzPollQuery(f *testing.F) {
	for _, s := range [][2]string{{"1", "30000"}, {"18446744073709551615", ""}, {"01", "1"}, {"", "0"}, {"-1", "30001"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, cursor, wait string) {
		at, patience, err := commhttp.ParsePoll(cursor, wait)
		if err != nil {
			return
		}
		if strconv.FormatUint(at, 10) != cursor || patience < 0 || patience > 30*time.Second {
			t.Errorf("%q, %q: %d, %v", cursor, wait, at, patience)
		}
	})
}

// Whatever a client sends upward is answered 202, or with an error frame, and the connection lives.
func FuzzUpward(f *testing.F) {
	for _, s := range []string{
		`{"type":"n"}`, `[{"type":"n"},{"op":"ping","id":"1"}]`, `[]`, ` [ ] `, `[[]]`, `{"op":"hello"}`, `[{"type":"n"},`, ``,
		`{"op":"error","id":"x"}`, `{"id":"j","op":"join","group":"g","position":"group:g@a:1"}`,
	} {
		f.Add(s)
	}
	m := must(comm.New(comm.WithInMemory(), comm.WithLogger(quiet), comm.WithMessageRate(1_000_000, 1_000_000), comm.WithHandshakeRate(1_000_000, 1_000_000), comm.WithProvider(commhttp.New())))
	f.Cleanup(func() { m.Close() })
	if err := m.Start(context.Background()); err != nil {
		f.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: m.DialContext}}
	f.Cleanup(client.CloseIdleConnections)
	f.Fuzz(func(t *testing.T, body string) {
		p := openPoll(t, client)
		a := p.up(body)
		switch a.StatusCode {
		case 202:
			var v struct{ Accepted *int }
			if json.Unmarshal([]byte(a.body), &v) != nil || v.Accepted == nil {
				t.Errorf("%q: %s", body, a.body)
			}
		case 400, 413:
			if frame, err := comm.JSON().ParseFrame([]byte(a.body)); err != nil || frame.Op != comm.OpError {
				t.Errorf("%q: %s", body, a.body)
			}
		default:
			t.Errorf("%q: %d %s", body, a.StatusCode, a.body)
		}
		if m.Connection(p.conn) == nil {
			t.Errorf("%q ended the connection", body)
		}
		ask(t, client, "DELETE", p.url, nil, "Comm-Connection", p.conn, "Comm-Session", p.session)
	})
}

// Whatever a server answers, the dialer's carrier ends with an error or has frames.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"conn":"c","cursor":"1","frames":[{"op":"welcome","version":1,"conn":"c","session":"s","max_message":100}]}`, 200)
	f.Add(`{"op":"error","code":"limit","message":"x"}`, 503)
	f.Add(`{"conn":"c","cursor":"1","frames":null}`, 200)
	f.Add(`<html>`, 200)
	f.Fuzz(func(t *testing.T, body string, status int) {
		if status < 200 || status > 599 {
			return
		}
		answer := roundTrip(func(*http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			w.WriteHeader(status)
			w.WriteString(body)
			return w.Result(), nil
		})
		d := commhttp.Dialer("http://gw/poll", commhttp.WithHTTPClient(&http.Client{Transport: answer}), commhttp.WithPatience(0))
		c, err := d.Dial(t.Context(), helloFrame)
		if err != nil {
			return
		}
		defer c.Close(t.Context())
		if frame, err := c.Receive(t.Context()); err != nil || frame == nil {
			t.Errorf("%q: %v, %v", body, frame, err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// BenchmarkPoll is one message through the hub to a client that polls, in memory.
func BenchmarkPoll(b *testing.B) {
	m, client := gateway(b, []comm.Option{comm.WithLogs(false, false, false)})
	p := openPoll(b, client)
	to, msg := comm.ToConn(p.conn), must(comm.NewMessage("n", strings.Repeat("x", 100)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Send(b.Context(), to, msg); err != nil {
			b.Fatal(err)
		}
		p.next()
	}
}

// The provider works under a Host of a test too, without comm.New.
func TestBareHost(t *testing.T) {
	t.Parallel()
	p := commhttp.New()
	if err := p.Start(t.Context(), commtest.NewHost(t, "http")); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
