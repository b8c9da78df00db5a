package commhttp_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

func TestPollCursors(t *testing.T) {
	t.Parallel()
	m, client := gateway(t, []comm.Option{comm.WithOpenAccess()})
	p := openPoll(t, client, "g")
	send(t, m, comm.ToGroup("g"), 1)
	before := p.cursor
	first := p.poll("30000")
	if got := contentOf(p.take(first)[0]); got != "1" {
		t.Fatalf("got %s", got)
	}
	// The answer is lost: the old cursor repeats it, with nothing that has come since.
	send(t, m, comm.ToGroup("g"), 2)
	after := p.cursor
	p.cursor = before
	if again := p.poll("30000"); again.body != first.body {
		t.Fatalf("repeated as %s, was %s", again.body, first.body)
	}
	equal(t, "cursor", p.cursor, before)
	p.cursor = after
	if got := contentOf(p.next()[0]); got != "2" {
		t.Fatalf("got %s, want 2", got)
	}
	// What has been confirmed cannot be had again, and what has not been given cannot be confirmed.
	p.poll("0")
	refused(t, ask(t, client, "GET", p.at(before, "0"), nil, "Comm-Session", p.session), 410, comm.CodeNotFound)
	refused(t, ask(t, client, "GET", p.at("99", "0"), nil, "Comm-Session", p.session), 400, comm.CodeBadFrame)
	send(t, m, comm.ToGroup("g"), 3)
	if got := contentOf(p.next()[0]); got != "3" {
		t.Fatalf("got %s, want 3: refused polls must change nothing", got)
	}
}

func TestPollTwoAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, client := gateway(t, []comm.Option{comm.WithOpenAccess()})
		p := openPoll(t, client)
		older := make(chan answer, 1)
		go func() { older <- p.poll("30000") }()
		synctest.Wait()
		newer := make(chan answer, 1)
		go func() { newer <- p.poll("30000") }()
		synctest.Wait()
		equal(t, "the older poll", (<-older).StatusCode, 204)
		send(t, m, comm.ToConn(p.conn), "x")
		equal(t, "the newer poll", (<-newer).StatusCode, 200)
	})
}

func TestPollWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := gateway(t, nil)
		p := openPoll(t, client)
		for _, c := range []struct {
			wait string
			max  time.Duration
		}{{"1000", time.Second}, {"30000", 30 * time.Second}, {"", 30 * time.Second}, {"0", 0}} {
			seen := make(map[time.Duration]bool)
			for range 8 {
				began := time.Now()
				a := p.poll(c.wait)
				d := time.Since(began)
				seen[d] = true
				if a.StatusCode != 204 || a.body != "" || d < c.max*8/10 || d > c.max {
					t.Fatalf("wait=%s: %d after %v, want 204 after %v less up to a fifth", c.wait, a.StatusCode, d, c.max)
				}
			}
			if c.max > 0 && len(seen) < 2 {
				t.Errorf("wait=%s: no jitter", c.wait)
			}
		}
		for _, q := range []string{"wait=30001", "wait=-1", "wait=1s", "wait=1e3"} {
			a := ask(t, client, "GET", p.url+"?conn="+p.conn+"&cursor="+p.cursor+"&"+q, nil, "Comm-Session", p.session)
			if f := refused(t, a, 400, comm.CodeBadFrame); !strings.Contains(f.Text, "wait") || !strings.Contains(f.Text, "30000") {
				t.Errorf("%s: %q names neither the member nor what is allowed", q, f.Text)
			}
		}
	})
}

func TestPollIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan comm.Disconnection, 1)
		m, client := gateway(t, []comm.Option{comm.WithOnDisconnect(func(_ *comm.Conn, d comm.Disconnection) { ended <- d })})
		p := openPoll(t, client)
		for range 5 { // a connection that is polled lives, also while a poll waits
			time.Sleep(44 * time.Second)
			equal(t, "poll", p.poll("30000").StatusCode, 204)
		}
		left := time.Now()
		d := <-ended
		if d.Reason.Kind != comm.ReasonLost || time.Since(left) != 45*time.Second {
			t.Fatalf("%v after %v, want lost after 45s", d.Reason, time.Since(left))
		}
		equal(t, "connections", m.ConnectionCount(comm.ToAll()), 0)
		f := p.take(p.poll("0"))
		if len(f) != 1 || f[0].Op != comm.OpClosing || f[0].Code != "lost" || !f[0].Closing.Reconnect {
			t.Fatalf("the late poll got %+v", f[0])
		}
		time.Sleep(11 * time.Second) // the last answer is not kept for ever
		refused(t, p.poll("0"), 410, comm.CodeNotFound)
		refused(t, p.up(`{"op":"ping"}`), 404, comm.CodeNotFound)
	})
}

func TestPollGoodbye(t *testing.T) {
	t.Parallel()
	ended := make(chan comm.Disconnection, 1)
	_, client := gateway(t, []comm.Option{comm.WithOnDisconnect(func(_ *comm.Conn, d comm.Disconnection) { ended <- d })})
	p := openPoll(t, client)
	refused(t, ask(t, client, "DELETE", p.url, nil, "Comm-Connection", p.conn, "Comm-Session", "x"), 403, comm.CodeForbidden)
	refused(t, ask(t, client, "DELETE", p.url, nil, "Comm-Connection", "x", "Comm-Session", p.session), 404, comm.CodeNotFound)
	a := ask(t, client, "DELETE", p.url, nil, "Comm-Connection", p.conn, "Comm-Session", p.session)
	equal(t, "goodbye", a.StatusCode, 204)
	equal(t, "reason", (<-ended).Reason.Kind, comm.ReasonClient)
}

// A drain answers the poll that waits, at once.
func TestPollDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, client := gateway(t, []comm.Option{comm.WithDrainSpread(time.Second)})
		p := openPoll(t, client)
		got := make(chan answer, 1)
		go func() { got <- p.poll("30000") }()
		synctest.Wait()
		began := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- m.Drain(t.Context()) }()
		frames := p.take(<-got)
		if last := frames[len(frames)-1]; last.Op != comm.OpClosing || last.Code != "drain" || !last.Closing.Reconnect || last.Closing.After <= 0 {
			t.Errorf("the poll got %+v", last)
		}
		if d := time.Since(began); d > 100*time.Millisecond {
			t.Errorf("after %v", d)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// Messages that nobody polls are bounded: a writer waits, then the client is slow.
func TestPollBackpressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan comm.Disconnection, 1)
		m, client := gateway(t, []comm.Option{
			comm.WithWriteTimeout(20 * time.Second), comm.WithQueue(10_000, 1<<30), comm.WithLogs(false, false, false),
			comm.WithOnDisconnect(func(_ *comm.Conn, d comm.Disconnection) { ended <- d }),
		})
		p := openPoll(t, client)
		for i := range 1000 {
			send(t, m, comm.ToConn(p.conn), i)
		}
		synctest.Wait()
		if s := m.Connection(p.conn).Stats(); s.QueueMessages < 400 {
			t.Fatalf("%d messages wait in the queue: the transport took the rest", s.QueueMessages)
		}
		time.Sleep(10 * time.Second)
		for i := 0; i < 1000; {
			for _, f := range p.next() {
				equal(t, "message", contentOf(f), fmt.Sprint(i))
				i++
			}
		}
		for i := range 1000 {
			send(t, m, comm.ToConn(p.conn), i)
		}
		began := time.Now()
		if d := <-ended; d.Reason.Kind != comm.ReasonSlow || time.Since(began) > 21*time.Second {
			t.Fatalf("%v after %v", d.Reason, time.Since(began))
		}
		frames := p.next()
		equal(t, "the end", frames[len(frames)-1].Code, "slow_consumer")
	})
}

func TestPollHello(t *testing.T) {
	t.Parallel()
	m, client := gateway(t, []comm.Option{comm.WithOpenAccess(), comm.WithAuthenticator(
		func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			if hs.Token != "secret" {
				return comm.Identity{}, comm.ErrUnauthenticated
			}
			return comm.Identity{User: "ann"}, nil
		})})
	post := func(body string) answer {
		return ask(t, client, "POST", "http://gw/poll", strings.NewReader(body), "Content-Type", "application/json")
	}
	p := &poller{t: t, client: client, url: "http://gw/poll"}
	frames := p.take(post(`{"op":"hello","version":1,"token":"secret","groups":["g"],"metadata":{"k":"v"}}`))
	w := frames[0].Welcome
	if len(frames) != 2 || w.User != "ann" || frames[1].Op != comm.OpJoined {
		t.Fatalf("got %+v", frames)
	}
	equal(t, "metadata", m.Connection(w.Conn).Metadata()["k"], "v")
	equal(t, "provider", m.Connection(w.Conn).Provider(), "http")

	// Resume: the earlier connection learns that it is superseded.
	p.conn, p.session = w.Conn, w.Session
	q := &poller{t: t, client: client, url: p.url}
	again := q.take(post(`{"op":"hello","token":"secret","session":"` + w.Session + `","position":"group:g@` + frames[1].Log.Epoch + `:0"}`))
	if !again[0].Welcome.Resumed || again[0].Welcome.Session != w.Session {
		t.Fatalf("got %+v", again[0].Welcome)
	}
	old := p.take(p.poll("0"))
	equal(t, "the old connection", old[len(old)-1].Code, "superseded")

	for _, c := range []struct {
		body   string
		status int
		code   comm.Code
		names  string
	}{
		{`{"op":"hello"}`, 401, comm.CodeUnauthenticated, ""},
		{`{"op":"hello","token":"wrong"}`, 401, comm.CodeUnauthenticated, ""},
		{`{"op":"hello","version":7,"token":"secret"}`, 400, comm.CodeUnsupportedVersion, "7"},
		{`{"op":"hello","token":"secret","position":"?"}`, 400, comm.CodeBadPosition, "?"},
		{`{"op":"join","id":"j1","group":"g"}`, 400, comm.CodeBadFrame, "hello"},
		{`{"type":"n"}`, 400, comm.CodeBadFrame, "Comm-Connection"},
		{`{`, 400, comm.CodeBadFrame, ""},
		{``, 400, comm.CodeBadFrame, ""},
	} {
		if f := refused(t, post(c.body), c.status, c.code); !strings.Contains(f.Text, c.names) {
			t.Errorf("%s: %q does not name %q", c.body, f.Text, c.names)
		}
	}
	a := post(`{"op":"hello"}`)
	equal(t, "WWW-Authenticate", a.Header.Get("WWW-Authenticate"), `Bearer realm="comm"`)
	equal(t, "simple client", ask(t, client, "GET", p.url+"?access_token=secret", nil).StatusCode, 200)
	equal(t, "wrong token", ask(t, client, "GET", p.url+"?access_token=no", nil).StatusCode, 401)
}

func TestPollRefusals(t *testing.T) {
	t.Parallel()
	m, client := gateway(t, []comm.Option{
		comm.WithOpenAccess(), comm.WithMaxMessage(256), comm.WithMaxConnections(2), comm.WithAllowedOrigins("https://app.example.com"),
	})
	comm.On(m, "n", func(context.Context, *comm.Conn, int) error { return nil })
	check := witness(t, m, client)
	p := openPoll(t, client)
	check()
	named := []string{"Comm-Connection", p.conn, "Comm-Session", p.session}
	for _, c := range []struct {
		name, method, query, body string
		header                    []string
		status                    int
		code                      comm.Code
	}{
		{"origin", "GET", "", "", []string{"Origin", "https://evil.example.com"}, 403, comm.CodeForbidden},
		{"origin of a preflight", "OPTIONS", "", "", []string{"Origin", "https://evil.example.com"}, 403, comm.CodeForbidden},
		{"method", "PUT", "", "{}", nil, 405, comm.CodeBadFrame},
		{"no room", "GET", "", "", nil, 503, comm.CodeLimit},
		{"unknown connection", "GET", "?conn=nobody&cursor=1", "", named, 410, comm.CodeNotFound},
		{"no cursor", "GET", "?conn=" + p.conn, "", named, 400, comm.CodeBadFrame},
		{"no number", "GET", "?conn=" + p.conn + "&cursor=x", "", named, 400, comm.CodeBadFrame},
		{"wrong session", "GET", "?conn=" + p.conn + "&cursor=1", "", []string{"Comm-Session", "x"}, 403, comm.CodeForbidden},
		{"no session", "GET", "?conn=" + p.conn + "&cursor=1", "", nil, 403, comm.CodeForbidden},
		{"send to nobody", "POST", "", `{"type":"n"}`, []string{"Comm-Connection", "nobody", "Comm-Session", p.session}, 404, comm.CodeNotFound},
		{"send for another", "POST", "", `{"type":"n"}`, []string{"Comm-Connection", p.conn, "Comm-Session", "x"}, 403, comm.CodeForbidden},
		{"too large", "POST", "", `{"type":"n","content":"` + strings.Repeat("x", 300) + `"}`, named, 413, comm.CodeTooLarge},
		{"no JSON", "POST", "", `{"type":`, named, 400, comm.CodeBadFrame},
		{"no frame", "POST", "", `[[]]`, named, 400, comm.CodeBadFrame},
		{"bad message", "POST", "", `{"id":"m1","type":"n","headers":{"a":1}}`, named, 400, comm.CodeBadFrame},
	} {
		a := ask(t, client, c.method, p.url+c.query, strings.NewReader(c.body), c.header...)
		refused(t, a, c.status, c.code)
		if c.status == 503 && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", c.name)
		}
		if c.status == 405 && a.Header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", c.name)
		}
		check()
	}
	if m.Connection(p.conn) == nil {
		t.Error("the refusals ended the connection")
	}
}

func TestPollUpward(t *testing.T) {
	t.Parallel()
	m, client := gateway(t, []comm.Option{comm.WithOpenAccess()})
	got := make(chan int, 10)
	comm.On(m, "n", func(_ context.Context, _ *comm.Conn, n int) error { got <- n; return nil })
	check := witness(t, m, client)
	p := openPoll(t, client)
	a := p.up(`[{"type":"n","content":1},{"type":"n","content":2},{"op":"ping","id":"p"}]`)
	equal(t, "answer", words(a.StatusCode, strings.TrimSpace(a.body)), `202 {"accepted":3}`)
	equal(t, "order", words(<-got, <-got), "1 2")
	if f := p.next(); f[0].Op != comm.OpPong || f[0].ID != "p" {
		t.Fatalf("got %+v", f[0])
	}
	// Nothing behind a bad frame is taken, what stands before it is.
	f := refused(t, p.up(`[{"type":"n","content":3},{"id":"bad","op":"dance"},{"type":"n","content":4}]`), 400, comm.CodeUnknownOp)
	equal(t, "id", f.ID, "bad")
	equal(t, "taken", <-got, 3)
	// Unknown types are told in the stream, with the id, and the connection is kept.
	equal(t, "unknown type", p.up(`{"id":"u","type":"nobody"}`).StatusCode, 202)
	if f := p.next()[0]; f.Code != comm.CodeUnknownType || f.ID != "u" {
		t.Fatalf("got %+v", f)
	}
	equal(t, "still", p.up(`{"type":"n","content":5}`).StatusCode, 202)
	equal(t, "taken", <-got, 5)
	check()
	if s := m.Connection(p.conn).Stats(); s.MessagesIn != 5 || s.FailedIn != 2 || s.BytesIn == 0 || s.BytesOut == 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestPollCORS(t *testing.T) {
	t.Parallel()
	_, client := gateway(t, []comm.Option{comm.WithAllowedOrigins("https://app.example.com")})
	a := ask(t, client, "OPTIONS", "http://gw/poll", nil, "Origin", "https://app.example.com",
		"Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "comm-session")
	equal(t, "preflight", a.StatusCode, 204)
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
		"Access-Control-Allow-Credentials": "true", "Vary": "Origin",
		"Access-Control-Allow-Headers": "Comm-Connection, Comm-Session, Authorization, Content-Type, Last-Event-ID, traceparent, tracestate",
	} {
		equal(t, name, a.Header.Get(name), want)
	}
	a = ask(t, client, "GET", "http://gw/poll", nil, "Origin", "https://app.example.com")
	equal(t, "open", words(a.StatusCode, a.Header.Get("Access-Control-Allow-Origin"), a.Header.Get("Cache-Control")), "200 https://app.example.com no-store")

	_, any := gateway(t, []comm.Option{comm.WithAllowedOrigins("*")})
	a = ask(t, any, "GET", "http://gw/poll", nil, "Origin", "https://evil.example.com")
	equal(t, "credentials for any origin", words(a.StatusCode, a.Header.Get("Access-Control-Allow-Credentials")), "200")
}

// A body that does not come ends the request, and nobody else notices.
func TestPollSlowBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, client := gateway(t, []comm.Option{comm.WithOpenAccess(), comm.WithHandshakeTimeout(2 * time.Second)})
		check := witness(t, m, client)
		conn := must(m.DialContext(t.Context(), "tcp", "gw:80"))
		defer conn.Close()
		fmt.Fprintf(conn, "POST /poll HTTP/1.1\r\nHost: gw\r\nContent-Length: 100\r\n\r\n{")
		began := time.Now()
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 408") || time.Since(began) != 2*time.Second {
			t.Errorf("%q, %v after %v", buf[:n], err, time.Since(began))
		}
		check()
		conn.Close()
		time.Sleep(time.Second)
	})
}

func TestWithPollPath(t *testing.T) {
	t.Parallel()
	_, client := gateway(t, nil, commhttp.WithPollPath("/up/poll"))
	equal(t, "moved", ask(t, client, "GET", "http://gw/up/poll", nil).StatusCode, 200)
	equal(t, "from", ask(t, client, "GET", "http://gw/poll", nil).StatusCode, http.StatusNotFound)
	_, client = gateway(t, nil, commhttp.WithoutPolling())
	equal(t, "off", ask(t, client, "GET", "http://gw/poll", nil).StatusCode, http.StatusNotFound)
}

// A connection between two polls is memory and a timer: no goroutine is its own. Not parallel, for
// others' goroutines would be counted.
func TestPollIdleCost(t *testing.T) {
	m, client := gateway(t, nil)
	ask(t, client, "GET", "http://gw/livez", nil)
	before := runtime.NumGoroutine()
	const n = 500
	for range n {
		openPoll(t, client)
	}
	eventually(t, "writers to end", func() bool { return runtime.NumGoroutine() < before+20 })
	equal(t, "connections", m.ConnectionCount(comm.ToAll()), n)
}
