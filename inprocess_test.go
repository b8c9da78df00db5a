package comm_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// ask sends a request in one of the two ways that must not differ.
type ask func(r *http.Request) (*http.Response, error)

// bothWays runs f for requests through the address and for requests in process.
func bothWays(t *testing.T, provider string, p func() comm.Provider, f func(t *testing.T, ask ask)) {
	for _, way := range []string{"address", "in process"} {
		t.Run(way, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := newManager(t, comm.WithProvider(p()), tokenIsUser())
				if err := m.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				ask := httpClient(m).Do
				if way == "in process" {
					ask = func(r *http.Request) (*http.Response, error) { return m.HandleRequest(r.Context(), provider, r) }
				}
				f(t, ask)
			})
		})
	}
}

// shout answers each line when it comes, so that bodies must flow both ways at once.
func shout(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	_ = rc.Flush()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		fmt.Fprintln(w, strings.ToUpper(lines.Text()))
		_ = rc.Flush()
	}
}

func TestRequestsStreamInProcess(t *testing.T) {
	mark := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Middleware", r.Header.Get("X-Ask"))
			next.ServeHTTP(w, r)
		})
	}
	for _, way := range []string{"http", ""} {
		p := func() comm.Provider {
			return commhttp.New(commhttp.HandleFunc("POST /shout/{who}", shout), commhttp.WithMiddleware(mark))
		}
		bothWays(t, way, p, func(t *testing.T, ask ask) {
			body, w := io.Pipe()
			r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://gateway/shout/ann", body)
			r.Header.Set("X-Ask", "me")
			resp, err := ask(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			same(t, "status", resp.StatusCode, 200)
			same(t, "the user's middleware", resp.Header.Get("X-Middleware"), "me")
			same(t, "the provider's middleware", resp.Header.Get("X-Request-Id") != "", true)
			lines := bufio.NewReader(resp.Body)
			for _, word := range []string{"hello", "again"} {
				fmt.Fprintln(w, word)
				got, err := lines.ReadString('\n')
				if err != nil || got != strings.ToUpper(word)+"\n" {
					t.Fatalf("%q, %v", got, err)
				}
			}
			w.Close()
			if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
				t.Errorf("the end: %q, %v", rest, err)
			}
		})
	}
}

// A stream of events begins, is answered upward in a second request, and ends with its context.
func TestEventsStreamInProcess(t *testing.T) {
	bothWays(t, "sse", func() comm.Provider { return sse.New() }, func(t *testing.T, ask ask) {
		ctx, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://gateway/events", nil)
		r.Header.Set("Authorization", "Bearer ann")
		down, err := ask(r)
		if err != nil {
			t.Fatal(err)
		}
		defer down.Body.Close()
		same(t, "type", down.Header.Get("Content-Type"), "text/event-stream")
		events := sse.NewDecoder(down.Body)
		next := func() (f struct{ Op, ID, Conn, Session, User string }) {
			ev, err := events.Next()
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(ev.Data), &f); err != nil {
				t.Fatalf("%q: %v", ev.Data, err)
			}
			return f
		}
		welcome := next()
		same(t, "welcome", []string{welcome.Op, welcome.User}, []string{"welcome", "ann"})
		up, _ := http.NewRequestWithContext(t.Context(), "POST", "http://gateway/events", strings.NewReader(`{"op":"ping","id":"p1"}`))
		up.Header.Set("Comm-Connection", welcome.Conn)
		up.Header.Set("Comm-Session", welcome.Session)
		resp, err := ask(up)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		same(t, "status", resp.StatusCode, http.StatusAccepted)
		pong := next()
		same(t, "answer", []string{pong.Op, pong.ID}, []string{"pong", "p1"})
		hangUp()
		if _, err := io.ReadAll(down.Body); err == nil {
			t.Error("the stream outlives its context")
		}
	})
}

// The caller's request stays as it is, whatever it lacks, and its context reaches the handler.
func TestHandleRequestLeavesTheRequestAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		ended := make(chan struct{})
		if err := f.host().Route("/ends", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); close(ended) })); err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]*http.Request{
			"a server's":     {Method: "GET", RequestURI: "/fake", URL: &url.URL{Path: "/fake"}, Host: "a.example", Header: http.Header{}},
			"a client's":     {Method: "GET", URL: &url.URL{Scheme: "https", Host: "b.example", Path: "/fake"}, Header: http.Header{}},
			"without a host": {Method: "GET", URL: &url.URL{Path: "/fake"}, Header: http.Header{}},
			"bare":           {URL: &url.URL{Path: "/fake"}},
		} {
			before := r.Clone(t.Context())
			resp, err := m.HandleRequest(t.Context(), "", r)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			resp.Body.Close()
			same(t, name+": status", resp.StatusCode, 200)
			same(t, name+": after", r.Clone(t.Context()), before)
		}
		if err := f.host().Route("/encoding", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header["Accept-Encoding"])
		})); err != nil {
			t.Fatal(err)
		}
		resp, err := m.HandleRequest(t.Context(), "", &http.Request{URL: &url.URL{Path: "/encoding"}})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		same(t, "encodings that the caller did not ask for", string(b), "[]")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = m.HandleRequest(ctx, "", &http.Request{URL: &url.URL{Path: "/ends"}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the time is over: %v", err)
		}
		<-ended
	})
}

func TestInProcessErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bare := &fake{name: "bare", onStart: func(context.Context, comm.Host) error { return nil }}
		m := newManager(t, comm.WithProvider(&fake{}, bare))
		check := func(when, provider string, want error) {
			t.Helper()
			r := &http.Request{URL: &url.URL{Path: "/fake"}}
			_, err := m.HandleRequest(t.Context(), provider, r)
			_, _, upgradeErr := m.HandleWebSocket(t.Context(), provider, r)
			if !errors.Is(err, want) || !errors.Is(upgradeErr, want) {
				t.Errorf("%s: HandleRequest %v, HandleWebSocket %v, want %v", when, err, upgradeErr, want)
			}
		}
		check("before the start", "fake", comm.ErrStopped)
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("unknown provider", "nobody", comm.ErrNotFound)
		check("a provider without routes", "bare", comm.ErrStopped)
		if err := m.Stop(t.Context(), "fake"); err != nil {
			t.Fatal(err)
		}
		check("after the stop", "", comm.ErrStopped)
	})
}

// Every answer but 101 is the refusal, with the beginning of its body.
func TestHandleWebSocketRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		long := strings.Repeat("x", 10<<10)
		for path, h := range map[string]http.Handler{
			"/plain": text("no upgrade"),
			"/long":  text(long),
			"/mute": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // upgrades, and admits nobody
				w.Header().Set("Upgrade", "websocket")
				w.WriteHeader(http.StatusSwitchingProtocols)
			}),
		} {
			if err := f.host().Route("GET "+path, h); err != nil {
				t.Fatal(err)
			}
		}
		for path, want := range map[string]comm.UpgradeError{
			"/plain": {Status: 200, Body: "no upgrade"}, "/long": {Status: 200, Body: long[:4<<10]}, "/none": {Status: 404, Body: "404 page not found\n"},
		} {
			_, _, err := m.HandleWebSocket(t.Context(), "", &http.Request{URL: &url.URL{Path: path}})
			if ue, ok := errors.AsType[*comm.UpgradeError](err); !ok || *ue != want {
				t.Errorf("%s: %v", path, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := m.HandleWebSocket(ctx, "", &http.Request{URL: &url.URL{Path: "/mute"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody is admitted: %v", err)
		}
	})
}

// readFrame reads one unmasked frame of up to 64 KiB by the letter of RFC 6455, section 5.2.
func readFrame(t *testing.T, r io.Reader) (first byte, payload []byte) {
	t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		t.Fatal(err)
	}
	n := int(head[1])
	if n == 126 {
		if _, err := io.ReadFull(r, head[2:4]); err != nil {
			t.Fatal(err)
		}
		n = int(binary.BigEndian.Uint16(head[2:]))
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil || head[1] > 126 {
		t.Fatalf("frame %x: %v", head, err)
	}
	return head[0], payload
}

// writeFrame writes one masked text frame of less than 126 bytes.
func writeFrame(t *testing.T, w io.Writer, text string) {
	t.Helper()
	mask := [4]byte{1, 2, 3, 4}
	frame := append([]byte{0x81, 0x80 | byte(len(text))}, mask[:]...)
	for i := range len(text) {
		frame = append(frame, text[i]^mask[i%4])
	}
	if _, err := w.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// The stream is RFC 6455 to the byte, its connection the registered one; the user and the metadata
// are believed without the authenticator, and the dial's context ends nothing afterwards.
func TestHandleWebSocketStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(t, comm.WithProvider(ws.New()), comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
			return comm.Identity{}, errors.New("nobody comes in here")
		}), comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
			a.Metadata["more"] = a.Metadata["k"] + a.User
			return nil
		}))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r, md := &http.Request{URL: &url.URL{Path: "/ws"}}, map[string]string{"k": "v"}
		c, stream, err := m.HandleWebSocket(ctx, "websocket", r, comm.WithUser("ann"), comm.WithConnMetadata(md))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		md["k"] = "changed"
		same(t, "registered", m.Connection(c.ID()), c)
		same(t, "who", []any{c.User(), c.Metadata()}, []any{"ann", map[string]string{"k": "v", "more": "vann"}})
		same(t, "the request's header", r.Header, http.Header(nil))
		first, welcome := readFrame(t, stream)
		same(t, "a whole text frame", first, byte(0x81))
		contains(t, errors.New(string(welcome)), `"op":"welcome"`, c.ID())
		writeFrame(t, stream, `{"op":"ping","id":"p1"}`)
		_, pong := readFrame(t, stream)
		same(t, "pong", string(pong), `{"op":"pong","id":"p1"}`)
		stream.Close()
		<-c.Done()
		same(t, "found after the end", m.Connection(c.ID()) == nil, true)
	})
}

// Frames that come with the answer are not lost.
func TestHandleWebSocketBytesBehindTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		if err := f.host().Route("GET /up", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			hs, _ := comm.NewHandshake(r, nil)
			if _, err := f.host().Attach(r.Context(), newPeer(), hs); err != nil {
				t.Error(err)
			}
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
		})); err != nil {
			t.Fatal(err)
		}
		c, stream, err := m.HandleWebSocket(t.Context(), "", &http.Request{URL: &url.URL{Path: "/up"}}, comm.WithUser("ann"))
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		b, err := io.ReadAll(stream)
		if err != nil || string(b) != "early" || c.User() != "ann" {
			t.Errorf("%q, %v", b, err)
		}
	})
}
