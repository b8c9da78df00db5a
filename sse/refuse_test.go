package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// TestRefusals asks for every answer that is no stream, while a witness loses nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil, comm.WithOpenAccess(), comm.WithMaxMessage(2000),
		comm.WithAllowedOrigins("https://app.example.com"),
		comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, _ *comm.Admission) error {
			switch hs.Token {
			case "banned":
				return errors.New("a secret of the database")
			case "full":
				return &comm.LimitError{Limit: "seats", Max: 3, Retry: 1500 * time.Millisecond}
			}
			return nil
		}),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			if hs.Token == "wrong" {
				return comm.Identity{}, comm.ErrUnauthenticated
			}
			return comm.Identity{}, nil
		}))
	witness := g.subscribe(t, "?group=lobby")
	witness.frame("joined")
	names := witness.names()[:4]
	kicked := g.hello(t, `{"op":"hello"}`)
	kickedSession := kicked.welcome["session"].(string)
	if err := g.Connection(kicked.welcome["conn"].(string)).Kick(t.Context(), "out"); err != nil {
		t.Fatal(err)
	}
	js, stream := "application/json", sse.ContentType
	large := `{"type":"x","content":"` + strings.Repeat("x", 2000) + `"}`
	for i, row := range []struct {
		name, method, query, body string
		header                    []string
		status                    int
		want                      string // in the body
		answer                    string // header: value
	}{
		{"method", "PUT", "", "", nil, 405, `"method PUT`, "Allow: GET, POST, DELETE, OPTIONS"},
		{"head", "HEAD", "", "", nil, 405, ``, "Allow: GET, POST, DELETE, OPTIONS"},
		{"accept of a get", "GET", "", "", []string{"Accept", "text/html"}, 406, `Accept header`, ""},
		{"accept of a hello", "POST", "", `{"op":"hello"}`, []string{"Accept", js, "Content-Type", js}, 406, `text/event-stream`, ""},
		{"content type of a hello", "POST", "", `{"op":"hello"}`, []string{"Content-Type", "text/plain"}, 415, `application/json`, ""},
		{"content encoding", "POST", "", `{"op":"hello"}`, []string{"Content-Encoding", "gzip"}, 415, `Content-Encoding`, ""},
		{"origin", "GET", "", "", []string{"Origin", "https://evil.example"}, 403, `"forbidden"`, ""},
		{"origin null", "GET", "", "", []string{"Origin", "null"}, 403, `"forbidden"`, ""},
		{"origin of a preflight", "OPTIONS", "", "", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 403, `evil.example`, ""},
		{"origin of an upward", "POST", "", `{"type":"x"}`, append([]string{"Origin", "https://evil.example"}, names...), 403, `evil.example`, ""},
		{"position", "GET", "?position=nonsense", "", nil, 400, `"bad_position"`, ""},
		{"last event id", "GET", "", "", []string{"Last-Event-ID", "17"}, 400, `"bad_position"`, ""},
		{"token in the header", "GET", "", "", []string{"Authorization", "Bearer wrong"}, 401, `"unauthenticated"`, `Www-Authenticate: Bearer realm="comm"`},
		{"token in the query", "GET", "?access_token=wrong", "", nil, 401, `"unauthenticated"`, ""},
		{"token in the hello", "POST", "", `{"op":"hello","token":"wrong","id":"h7"}`, nil, 401, `"id":"h7"`, ""},
		{"hook", "GET", "?access_token=banned", "", nil, 403, `"forbidden"`, ""},
		{"limit", "GET", "?access_token=full", "", nil, 503, `"limit"`, "Retry-After: 2"},
		{"version", "POST", "", `{"op":"hello","version":9}`, nil, 400, `version 9`, ""},
		{"revoked session", "POST", "", `{"op":"hello","session":"` + kickedSession + `"}`, nil, 403, `"session_revoked"`, ""},
		{"metadata", "POST", "", `{"op":"hello","metadata":{"k":"` + strings.Repeat("x", 1900) + "\\u0000" + `"}}`, nil, 400, `"bad_message"`, ""},
		{"not a hello", "POST", "", `{"op":"ping","id":"p1"}`, nil, 400, `Comm-Connection`, ""},
		{"not json", "POST", "", `hello`, nil, 400, `"bad_frame"`, ""},
		{"large hello", "POST", "", large, nil, 413, `at most 2000 bytes`, ""},
		{"upward to nobody", "POST", "", `{"type":"x"}`, []string{"Comm-Connection", "NOBODY", "Comm-Session", "x"}, 404, `"not_found"`, ""},
		{"upward, wrong session", "POST", "", `{"type":"x"}`, []string{"Comm-Connection", names[1], "Comm-Session", "x"}, 403, `the connection's session`, ""},
		{"upward, no session", "POST", "", `{"type":"x"}`, names[:2], 403, `"forbidden"`, ""},
		{"upward, content type", "POST", "", `{"type":"x"}`, append([]string{"Content-Type", "text/plain"}, names...), 415, `text/plain`, ""},
		{"upward, large", "POST", "", large, names, 413, `"too_large"`, ""},
		{"upward, large in chunks", "POST", "", large, append([]string{"chunked", "yes"}, names...), 413, `"too_large"`, ""},
		{"goodbye of nobody", "DELETE", "", "", nil, 400, `Comm-Connection`, ""},
		{"goodbye, wrong session", "DELETE", "", "", []string{"Comm-Connection", names[1], "Comm-Session", "x"}, 403, `the connection's session`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			at := *g
			at.url += row.query
			if row.method == "POST" && len(row.header) < 2 {
				row.header = []string{"Accept", stream}
			}
			status, header, body := at.do(t, row.method, row.body, row.header...)
			if status != row.status || !contains(body, row.want) {
				t.Errorf("%d %s, want %d with %s", status, body, row.status, row.want)
			}
			if strings.Contains(body, "database") {
				t.Error("the hook's error is told to the client")
			}
			if row.method != "HEAD" && (header.Get("Content-Type") != js || !strings.HasPrefix(body, `{"op":"error"`)) {
				t.Errorf("%v %s is no error frame", header, body)
			}
			if name, value, _ := strings.Cut(row.answer, ": "); header.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, header.Get(name), value)
			}
		})
		g.send(t, comm.ToGroup("lobby"), i)
		witness.message(fmt.Sprint(i))
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	g := startGateway(t, nil, comm.WithAllowedOrigins(app))
	status, h, _ := g.do(t, "OPTIONS", "", "Origin", app, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "comm-session")
	if status != 204 || h.Get("Access-Control-Allow-Origin") != app || h.Get("Access-Control-Allow-Credentials") != "true" ||
		h.Get("Access-Control-Allow-Methods") != "GET, POST, DELETE, OPTIONS" {
		t.Fatal(status, h)
	}
	for _, name := range []string{"Comm-Connection", "Comm-Session", "Authorization", "Content-Type", "Last-Event-ID", "traceparent", "tracestate"} {
		if !strings.Contains(h.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not allowed", name)
		}
	}
	s := g.subscribe(t, "", "Origin", app)
	if h := s.res.Header; h.Get("Access-Control-Allow-Origin") != app || !strings.Contains(fmt.Sprint(h["Vary"]), "Origin") {
		t.Error(h)
	}
	if status, h, _ := g.do(t, "POST", "x", append(s.names(), "Origin", app)...); status != 400 || h.Get("Access-Control-Allow-Origin") != app {
		t.Error(status, h) // a page must be able to read what is wrong
	}
	if status, h, _ := g.do(t, "OPTIONS", ""); status != 204 || h.Get("Allow") == "" || h.Get("Access-Control-Allow-Origin") != "" {
		t.Error(status, h)
	}
	// every origin: no cookies for pages that nobody named
	any := startGateway(t, nil, comm.WithAllowedOrigins("*"))
	h = any.subscribe(t, "", "Origin", "https://who.example").res.Header
	if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Error(h)
	}
	// the same origin needs no permission
	g.subscribe(t, "", "Origin", "http://"+strings.TrimSuffix(strings.TrimPrefix(g.url, "http://"), "/events"))
}

func TestProviderConnectionLimit(t *testing.T) {
	t.Parallel()
	g := startGateway(t, []sse.ProviderOption{sse.WithMaxConnections(2)})
	a, b := g.subscribe(t, ""), g.subscribe(t, "")
	status, h, body := g.do(t, "GET", "")
	if status != 503 || h.Get("Retry-After") != "1" || !contains(body, "connections of provider sse: at most 2") {
		t.Fatal(status, h, body)
	}
	for i, s := range []*source{a, b} {
		g.send(t, comm.ToConn(s.welcome["conn"].(string)), i)
		s.message(fmt.Sprint(i))
	}
	a.res.Body.Close()
	eventually(t, "a place is free again", func() bool {
		res := g.open(t, "GET", g.url, "")
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// TestSlowBody is a client that promises a body and does not send it.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil, comm.WithHandshakeTimeout(100*time.Millisecond))
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(g.url, "http://"), "/events"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"op\":")
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 1000)
	n, _ := conn.Read(buf)
	if !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 408") {
		t.Fatalf("%s", buf[:n])
	}
	for { // and the connection is closed
		if _, err := conn.Read(buf); err != nil {
			if isTimeout(err) {
				t.Fatal("the connection is kept")
			}
			return
		}
	}
}
