package sse_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/sse"
)

func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, url, accept string
		status                    int
		body                      string
	}{
		{"POST", "POST", "/", "", 405, "GET"},
		{"HEAD", "HEAD", "/", "", 405, "GET"},
		{"JSON only", "GET", "/", "application/json", 406, "text/event-stream"},
		{"refused by q", "GET", "/", "text/event-stream;q=0, */*", 406, "Accept"},
		{"type wildcard refused", "GET", "/", "text/*;q=0.0, */*", 406, "Accept"},
		{"unusable id", "GET", "/?lastEventId=a%0Ab", "", 400, "lastEventId"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, r := httptest.NewRecorder(), httptest.NewRequest(tt.method, tt.url, nil)
			if tt.accept != "" {
				r.Header.Set("Accept", tt.accept)
			}
			_, err := sse.Accept(w, r)
			re, ok := errors.AsType[*sse.RequestError](err)
			if !ok || re.Status != tt.status {
				t.Fatalf("got %v, want a RequestError with %d", err, tt.status)
			}
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("answered %d %q", w.Code, w.Body)
			}
			if tt.status == 405 && w.Header().Get("Allow") != "GET" {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestAcceptAllows(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"", "*/*", "text/event-stream", "text/*", "text/html, text/event-stream;q=0.5", "TEXT/EVENT-STREAM", "*/*;q=0, text/event-stream", " , */*"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		s, err := sse.Accept(w, r, sse.WithWriteTimeout(0))
		if err != nil {
			t.Errorf("Accept: %q: %v", accept, err)
			continue
		}
		_ = s.Close()
	}
}

func TestAcceptLastEventID(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, url, header, want string }{
		{"none", "/", "", ""},
		{"header", "/", "5", "5"},
		{"query", "/?a=b&lastEventId=a%3A5", "", "a:5"},
		{"header wins", "/?lastEventId=4", "5", "5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", tt.url, nil)
			if tt.header != "" {
				r.Header.Set("Last-Event-ID", tt.header)
			}
			s, err := sse.Accept(w, r, sse.WithWriteTimeout(0))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := s.LastEventID(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !w.Flushed {
				t.Error("the headers were not flushed")
			}
		})
	}
}

func TestAcceptBadOptions(t *testing.T) {
	t.Parallel()
	_, err := sse.NewAcceptor(sse.WithWriteTimeout(-1), sse.WithHeartbeat(-2), sse.WithLifetime(-3), sse.WithRetry(-4),
		sse.WithMethods(), sse.WithOnEnd(nil), sse.WithLogger(nil), nil)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"WithWriteTimeout(-1ns)", "WithHeartbeat(-2ns)", "WithLifetime(-3ns)", "WithRetry(-4ns)", "WithMethods", "WithOnEnd", "WithLogger", "nil AcceptOption"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	w := httptest.NewRecorder()
	if _, err := sse.Accept(w, httptest.NewRequest("GET", "/", nil), sse.WithRetry(-1)); err == nil || w.Code != 500 {
		t.Errorf("Accept: %v, status %d", err, w.Code)
	}
	w = httptest.NewRecorder()
	sse.Handler(nil, sse.WithRetry(-1)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 {
		t.Errorf("Handler: status %d", w.Code)
	}
}

type bare struct{ http.ResponseWriter } // hides Flush and everything else

type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestAcceptWrappedWriter(t *testing.T) {
	t.Parallel()
	for _, hijack := range []bool{false, true} {
		var opts []sse.AcceptOption
		if hijack {
			opts = append(opts, sse.WithHijack())
		}
		h := sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			return s.Send(ctx, sse.Event{Data: []byte("x")})
		}, opts...)
		srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Hide") != "" {
				h.ServeHTTP(bare{w}, r)
				return
			}
			h.ServeHTTP(unwrapping{unwrapping{w}}, r)
		}), false)
		body, err := io.ReadAll(open(t, srv, nil).Body)
		if err != nil || string(body) != "data: x\n\n" {
			t.Errorf("hijack=%v: got %q, %v", hijack, body, err)
		}
		res := open(t, srv, func(r *http.Request) { r.Header.Set("Hide", "1") })
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 500 || !bytes.Contains(body, []byte("sse_test.bare has no method")) || !bytes.Contains(body, []byte("Unwrap")) {
			t.Errorf("hijack=%v: a writer without Flush: %d %q", hijack, res.StatusCode, body)
		}
	}
	_, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if !errors.Is(err, sse.ErrUnsupported) {
		t.Errorf("a writer without deadlines: %v", err)
	}
}

func TestAcceptPost(t *testing.T) {
	t.Parallel()
	for _, hijack := range []bool{false, true} {
		opts := []sse.AcceptOption{sse.WithMethods("GET", "POST")}
		if hijack {
			opts = append(opts, sse.WithHijack())
		}
		a, err := sse.NewAcceptor(opts...)
		if err != nil {
			t.Fatal(err)
		}
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			query, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			a.Handler(func(ctx context.Context, s *sse.Stream) error {
				time.Sleep(2 * absoluteTimeout)
				return s.Send(ctx, sse.Event{Data: query})
			}).ServeHTTP(w, r)
		})
		synctest.Test(t, func(t *testing.T) { posts(t, serveMemory(t, h).client, "http://memory/") })
		srv := serve(t, h, false)
		posts(t, srv.Client(), srv.URL)
	}
}

// posts expects a stream that says what the request's body was.
func posts(t *testing.T, client *http.Client, url string) {
	t.Helper()
	res, err := client.Post(url, "text/plain", strings.NewReader("subscription"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "data: subscription\n\n" {
		t.Errorf("got %q, %v", body, err)
	}
}

func FuzzAcceptHeader(f *testing.F) {
	f.Add("text/event-stream")
	f.Add("text/html, */*;q=0.8")
	f.Add("text/*;q=0, text/event-stream;q=1")
	f.Add(`text/event-stream;a="b, c";q=0.1`)
	f.Fuzz(func(t *testing.T, value string) {
		sse.AcceptsStream([]string{value})
		// The exact type in front, whatever follows, is an allowance that nothing less specific takes back.
		if !strings.Contains(strings.ToLower(value), "event-stream") && !sse.AcceptsStream([]string{sse.ContentType, value}) {
			t.Errorf("%q takes the exact type back", value)
		}
	})
}
