package comm_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// A body that does not come, of a request that nobody reads, is waited for as long as a handshake.
func TestSlowBodyIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _ := gateway(t, comm.WithHandshakeTimeout(10*time.Second))
		for _, path := range []string{"/fake", "/livez", "/nosuch"} {
			c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\n{", path)
			start := time.Now()
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if d := time.Since(start); d < 9*time.Second || d > 12*time.Second {
				t.Errorf("%s: the connection ended after %v, want 10 s", path, d)
			}
			c.Close()
		}
	})
}

// A handler that reads gets as long as bytes come, and its answer may take longer than the body.
func TestSlowButSteadyBody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithHandshakeTimeout(10*time.Second))
		err := f.host().Route("POST /up", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			time.Sleep(time.Minute)
			fmt.Fprint(w, n, err, r.Context().Err())
		}))
		if err != nil {
			t.Fatal(err)
		}
		body, w := io.Pipe()
		go func() {
			for range 10 {
				time.Sleep(8 * time.Second)
				fmt.Fprint(w, "bytes")
			}
			w.Close()
		}()
		resp, err := httpClient(m).Post("http://gateway/up", "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if string(b) != "50 <nil> <nil>" || err != nil {
			t.Errorf("answer %q, %v", b, err)
		}
	})
}

// A connection whose handler hangs, or whose client goes on sending, is the only one that drains late.
func TestDrainWaitsForNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithDrainTimeout(20*time.Second), comm.WithDrainSpread(0))
		comm.On(m, "hang", func(ctx context.Context, _ *comm.Conn, _ int) error { <-ctx.Done(); return nil })
		hanging, stuck := f.attach(t, comm.Handshake{})
		_, witness := f.attach(t, comm.Handshake{})
		say := func(id string) {
			if err := f.host().Receive(hanging, &comm.Frame{Op: comm.OpMessage, ID: id, Message: message(t, "hang", 1)}); err != nil {
				t.Error(err)
			}
		}
		say("h1")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		drained := make(chan error, 2)
		go func() { drained <- m.Drain(ctx) }()
		time.Sleep(time.Second)
		if r := witness.closed(); r == nil || r.Kind != comm.ReasonDrain {
			t.Errorf("the witness after a second: %v, want told to go", r)
		}
		same(t, "the other one", stuck.closed(), (*comm.CloseReason)(nil))
		say("h2") // comes too late
		synctest.Wait()
		if refused := stuck.got(comm.OpError); len(refused) != 1 || refused[0].ID != "h2" || refused[0].Code != comm.CodeClosing {
			t.Errorf("a message during the drain: %v", refused)
		}
		go func() { drained <- m.Drain(ctx) }() // waits for the first
		synctest.Wait()
		same(t, "drains that have ended", len(drained), 0)
		for range 2 {
			if err := <-drained; err != nil {
				t.Errorf("drain: %v", err)
			}
		}
		if r := stuck.closed(); r == nil || r.Kind != comm.ReasonDrain {
			t.Errorf("the other one in the end: %v", r)
		}
	})
}

// What refuses an in-process client after the upgrade is HandleWebSocket's error.
func TestHandleWebSocketIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		no := errors.New("not today")
		m := newManager(t, comm.WithProvider(ws.New()), comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, a *comm.Admission) error {
			if a.User == "ann" {
				return no
			}
			return nil
		}), comm.WithMaxConnectionsPerAddr(1), comm.WithMaxConnectionsPerUser(10))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		open := func(user string) (net.Conn, error) {
			_, stream, err := m.HandleWebSocket(t.Context(), "websocket", httptest.NewRequest("GET", "/ws", nil), comm.WithUser(user))
			return stream, err
		}
		if _, err := open("ann"); !errors.Is(err, no) {
			t.Errorf("error %v, want that of OnConnect", err)
		}
		for i := range 11 { // one address, which is nobody's
			stream, err := open("bob")
			if err == nil {
				defer stream.Close()
			}
			if _, limited := errors.AsType[*comm.LimitError](err); limited != (i == 10) {
				t.Fatalf("client %d of a user: %v", i, err)
			}
		}
	})
}

// A send that waits for room waits for the acknowledgement too.
func TestBlockWithAck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, p := f.attach(t, comm.Handshake{})
		d := send(t, m, comm.ToConn(c.ID()), message(t, "n", 1), comm.WithBlock(), comm.WithAck())
		synctest.Wait()
		same(t, "messages that ask for an ack", p.got(comm.OpMessage)[0].Ack, true)
		early, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if acked, err := d.Pending.Wait(early); acked != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("before the ack: %d, %v", acked, err)
		}
		d = send(t, m, comm.ToConn(c.ID()), message(t, "n", 2), comm.WithBlock(), comm.WithAck())
		if err := f.host().Receive(c, &comm.Frame{Op: comm.OpAck, ID: d.ID}); err != nil {
			t.Fatal(err)
		}
		if acked, err := d.Pending.Wait(t.Context()); acked != 1 || err != nil {
			t.Errorf("%d, %v", acked, err)
		}
	})
}

func TestObserverMayPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logs
		_, f := gateway(t, out.logger(), comm.WithObserver(comm.ObserverFunc(func(e comm.Event) { panic("observer") })))
		f.attach(t, comm.Handshake{})
		if len(out.with("panic=observer")) < 2 { // start and connect
			t.Error("the panics are not in the log")
		}
	})
}

// A client that joins again and again and reads nothing is closed, not remembered.
func TestFloodOfJoinsIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithOpenAccess(), comm.WithMessageRate(100_000, 100_000), comm.WithQueue(10, 1<<20))
		c, p := f.attach(t, comm.Handshake{})
		p.halt()
		for i := 0; i < 5000 && c.Err() == nil; i++ {
			_ = f.host().Receive(c, &comm.Frame{Op: comm.OpJoin, ID: fmt.Sprint(i), Group: "lobby"})
			if i%100 == 0 {
				synctest.Wait()
			}
			if n := c.Stats().QueueMessages; n > 1100 {
				t.Fatalf("%d frames wait", n)
			}
		}
		<-c.Done()
		same(t, "the reason", comm.ReasonOf(c.Err()), comm.ReasonSlow)
	})
}

// A client that goes on sending what is no frame is closed as one that goes on sending too many.
func TestFloodOfGarbageIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithMessageRate(10, 20))
		c, p := f.attach(t, comm.Handshake{})
		for i := 0; i < 100 && c.Err() == nil; i++ {
			f.host().Reject(c, &comm.FrameError{Code: comm.CodeBadFrame, Text: "not JSON"})
			synctest.Wait()
		}
		<-c.Done()
		same(t, "the reason", comm.ReasonOf(c.Err()), comm.ReasonRateLimited)
		codes := make(map[comm.Code]int)
		for _, e := range p.got(comm.OpError) {
			codes[e.Code]++
		}
		same(t, "what it was told", codes, map[comm.Code]int{comm.CodeBadFrame: 20, comm.CodeRateLimited: 20})
		same(t, "failed", c.Stats().FailedIn, int64(41))
	})
}

// What is over the rate has failed, whatever it is: that which says nothing to the hub too.
func TestFloodOfSignsOfLifeIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithMessageRate(10, 20))
		c, p := f.attach(t, comm.Handshake{})
		for i := 0; i < 100 && c.Err() == nil; i++ {
			if err := f.host().Receive(c, &comm.Frame{Op: comm.OpPong}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		<-c.Done()
		same(t, "the reason", comm.ReasonOf(c.Err()), comm.ReasonRateLimited)
		same(t, "what it was told", len(p.got(comm.OpError)), 20)
		same(t, "failed", c.Stats().FailedIn, int64(20))
	})
}

// A web page cannot reach an open gateway on loopback by a name that it made resolve there, and one on
// http is another origin than the service on https.
func TestOriginsThatLie(t *testing.T) {
	t.Parallel()
	open := newManager(t, comm.WithOpenAccess())
	asked := func(m *comm.Manager, url, origin string, local net.Addr) error {
		r := httptest.NewRequest("GET", url, nil)
		r.Header.Set("Origin", origin)
		return m.CheckOrigin(r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
	}
	loopback, outside := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	for _, c := range []struct {
		url, origin string
		local       net.Addr
		ok          bool
	}{
		{"http://evil.example/", "http://evil.example", loopback, false},
		{"http://evil.example/", "http://evil.example", outside, true},
		{"http://localhost:80/", "http://localhost:80", loopback, true},
		{"http://127.0.0.1/", "http://127.0.0.1", loopback, true},
		{"http://[::1]:80/", "http://[::1]:80", loopback, true},
		{"http://a.localhost/", "http://a.localhost", loopback, true},
		{"https://a.example/", "https://a.example", outside, true},
		{"https://a.example/", "http://a.example", outside, false},
		{"http://a.example/", "https://a.example", outside, true}, // behind a proxy that ends TLS
	} {
		if err := asked(open, c.url, c.origin, c.local); (err == nil) != c.ok || !c.ok && !errors.Is(err, comm.ErrOrigin) {
			t.Errorf("%s from %s by %v: %v", c.url, c.origin, c.local, err)
		}
	}
	if err := asked(newManager(t), "http://evil.example/", "http://evil.example", loopback); err != nil {
		t.Errorf("where access is not open a name is as good as another: %v", err)
	}
}

// Behind a trusted proxy the limits are those of the clients.
func TestTrustedProxies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(t, comm.WithProvider(ws.New()), comm.WithFailedAuthBurst(2), tokenIsUser(),
			comm.WithTrustedProxies(netip.MustParsePrefix("127.0.0.0/8")))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		status := func(token, forwarded string) string {
			c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\nX-Forwarded-For: %s\r\n\r\n", token, forwarded)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			return resp.Status[:3]
		}
		for _, want := range []string{"401", "401", "503"} {
			same(t, "a client that guesses", status("bad", "192.0.2.1"), want)
		}
		same(t, "another one", status("ann", "192.0.2.2"), "101")
		for c := range m.Connections(comm.ToAll()) {
			same(t, "its address", c.RemoteAddr().String(), "192.0.2.2:0")
		}
	})
}

// unnamed is a provider without a name.
type unnamed struct{ comm.Provider }

func (unnamed) Name() string { return "" }

func TestNilIsRefused(t *testing.T) {
	t.Parallel()
	m, f := gateway(t)
	f.attach(t, comm.Handshake{})
	_, nilOption := comm.NewClient([]comm.Dialer{ws.Dialer("ws://gateway/ws")}, nil)
	_, nilSend := m.Send(t.Context(), comm.ToAll(), message(t, "n", 1), nil)
	_, nilDecode := comm.Decode[int](nil)
	_, nilRequest := m.HandleRequest(t.Context(), "fake", nil)
	_, _, nilUpgrade := m.HandleWebSocket(t.Context(), "fake", nil)
	for what, err := range map[string]error{
		"NewClient": nilOption, "Send": nilSend, "Decode": nilDecode, "HandleRequest": nilRequest,
		"HandleWebSocket": nilUpgrade, "Register": m.Register(nil), "a provider without a name": m.Register(unnamed{f}),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	for what, o := range map[string]comm.Option{
		"WithMiddleware": comm.WithMiddleware(nil), "WithOnJoin": comm.WithOnJoin(nil), "WithOnLeave": comm.WithOnLeave(nil),
		"WithOnDisconnect": comm.WithOnDisconnect(nil), "WithOnPresence": comm.WithOnPresence(nil),
	} {
		_, err := comm.New(o)
		contains(t, err, what)
	}
}

// A client of an event stream over HTTP/2 that is gone without a word does not answer pings, and ends.
func TestSilentHTTP2PeerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(t, comm.WithProvider(sse.New()), comm.WithHeartbeat(20*time.Second), comm.WithWriteTimeout(5*time.Second))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		header := "\x82\x86\x04\x07/events\x01\x07gateway"                                      // :method GET, :scheme http, :path, :authority (RFC 7541)
		frames := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + // SETTINGS
			"\x00\x00" + string(rune(len(header))) + "\x01\x05\x00\x00\x00\x01" + header // HEADERS, END_STREAM and END_HEADERS
		if _, err := io.WriteString(c, frames); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		go io.Copy(io.Discard, c) // it reads, and says nothing
		time.Sleep(time.Second)
		list := slices.Collect(m.Connections(comm.ToAll()))
		if len(list) != 1 {
			t.Fatalf("%d connections", len(list))
		}
		<-list[0].Done()
		if d := time.Since(start); d < 20*time.Second || d > 30*time.Second {
			t.Errorf("ended after %v, want the heartbeat's 20 s and 5 s more", d)
		}
	})
}
