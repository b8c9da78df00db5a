package crossorigin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/crossorigin"
)

var errForeign = errors.New("a foreign origin")

// only allows one origin; every allows all.
func only(r *http.Request) error {
	if r.Header.Get("Origin") == "https://app.example" {
		return nil
	}
	return errForeign
}

func every(*http.Request) error { return nil }

func request(method, origin, asks string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	if asks != "" {
		r.Header.Set("Access-Control-Request-Method", asks)
	}
	return r
}

func TestAllow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, origin  string
		check         func(*http.Request) error
		err           error
		allow, cookie string
	}{
		{"no page", "", only, nil, "", ""},
		{"an allowed page", "https://app.example", only, nil, "https://app.example", "true"},
		{"a foreign page", "https://evil.example", only, errForeign, "", ""},
		{"any page, without its visitor's cookies", "https://evil.example", every, nil, "*", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := crossorigin.New(c.check, "GET", "Accept")
			w := httptest.NewRecorder()
			if err := p.Allow(w, request("GET", c.origin, "")); !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			h := w.Header()
			if h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Origin") != c.allow || h.Get("Access-Control-Allow-Credentials") != c.cookie {
				t.Fatalf("headers %v", h)
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	p := crossorigin.New(only, "GET, POST", "Accept, Content-Type")
	for _, c := range []struct {
		name         string
		origin, asks string
		methods      string
	}{
		{"a browser", "https://app.example", "POST", "GET, POST"},
		{"somebody who wants to know", "", "", ""},
	} {
		w := httptest.NewRecorder()
		p.Preflight(w, request("OPTIONS", c.origin, c.asks))
		h := w.Header()
		if w.Code != http.StatusNoContent || h.Get("Allow") != "GET, POST" || h.Get("Access-Control-Allow-Methods") != c.methods {
			t.Errorf("%s: %d %v", c.name, w.Code, h)
		}
		if c.methods != "" && (h.Get("Access-Control-Allow-Headers") != "Accept, Content-Type" || h.Get("Access-Control-Max-Age") == "") {
			t.Errorf("%s: %v", c.name, h)
		}
	}
}

func TestPreflightOfAnyHeader(t *testing.T) {
	t.Parallel()
	p := crossorigin.New(only, "POST", crossorigin.AnyHeader)
	for _, c := range []struct {
		name  string
		asked []string
		want  string
	}{
		{"nothing asked", nil, ""},
		{"two lines", []string{"content-type,x-a", "X-B"}, "content-type,x-a, X-B"},
		{"what is no list of names", []string{"x-a: b"}, "*"},
		{"a list that is too long", []string{strings.Repeat("x-a,", 1100)}, "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := request("OPTIONS", "https://app.example", "POST")
			r.Header["Access-Control-Request-Headers"] = c.asked
			w := httptest.NewRecorder()
			p.Preflight(w, r)
			if got := w.Header().Get("Access-Control-Allow-Headers"); got != c.want {
				t.Errorf("%q is answered by %q, want %q", c.asked, got, c.want)
			}
		})
	}
}
