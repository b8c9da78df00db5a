package commhttp_test

import (
	"strings"
	"testing"

	commhttp "github.com/anasamu/comm/http"
)

func TestNegotiate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		accept []string
		want   int
	}{
		{nil, commhttp.Identity},
		{[]string{""}, commhttp.Identity},
		{[]string{"gzip"}, commhttp.Either},
		{[]string{"x-GZIP"}, commhttp.Either},
		{[]string{"gzip, deflate, br, zstd"}, commhttp.Either},
		{[]string{"br", "gzip;q=0.5"}, commhttp.Either},
		{[]string{"gzip;q=0"}, commhttp.Identity},
		{[]string{"gzip;q=0.000"}, commhttp.Identity},
		{[]string{"gzip;q=0.001"}, commhttp.Either},
		{[]string{"*"}, commhttp.Either},
		{[]string{"*;q=0"}, commhttp.Identity},
		{[]string{"gzip;q=0, *"}, commhttp.Identity},
		{[]string{"gzip, *;q=0"}, commhttp.GzipOnly},
		{[]string{"gzip, identity;q=0"}, commhttp.GzipOnly},
		{[]string{"*;q=0.5, identity;q=0"}, commhttp.GzipOnly},
		{[]string{"identity;q=0"}, commhttp.Identity},
		{[]string{"identity;q=1, gzip;q=0.5"}, commhttp.Identity},
		{[]string{"identity;q=0.5, gzip;q=1.000"}, commhttp.Either},
		{[]string{"gzip;q=1.001"}, commhttp.Identity},
		{[]string{"gzip;q=0.1234"}, commhttp.Identity},
		{[]string{"gzip;q=-1"}, commhttp.Identity},
		{[]string{"gzip;q=0./"}, commhttp.Identity},
		{[]string{"gzip;level=9"}, commhttp.Identity},
		{[]string{"gzip ; Q = 0.8 "}, commhttp.Either},
		{[]string{"gzipped, notgzip"}, commhttp.Identity},
	} {
		if got := commhttp.Negotiate(tt.accept...); got != tt.want {
			t.Errorf("%q: got %d, want %d", tt.accept, got, tt.want)
		}
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip, deflate, br", "gzip;q=0.5, identity;q=0", "*;q=0", "gzip;q=1.000, *;q=0.1", ",,;;q=,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := commhttp.Negotiate(s)
		if got != commhttp.Identity && !strings.Contains(strings.ToLower(s), "gzip") && !strings.Contains(s, "*") {
			t.Errorf("%q: gzip for a client that names neither it nor *", s)
		}
		if split := commhttp.Negotiate(strings.Split(s, ",")...); split != got {
			t.Errorf("%q: %d in one line, %d in several", s, got, split)
		}
		if got == commhttp.GzipOnly && !strings.Contains(s, "0") {
			t.Errorf("%q: plain is refused without a weight of 0", s)
		}
	})
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	list := []string{"https://app.example.com", "http://localhost:3000", "https://*.example.org", "https://*.example.net:8443", "app://bundle"}
	tooLong := "https://" + strings.Repeat("a", 400) + ".example.org"
	for o, want := range map[string]bool{
		"https://app.example.com":        true,
		"http://app.example.com":         false,
		"https://app.example.com:8443":   false,
		"http://localhost:3000":          true,
		"http://localhost":               false,
		"app://bundle":                   true,
		"https://a.example.org":          true,
		"https://a.b-c.example.org":      true,
		"https://example.org":            false,
		"https://.example.org":           false,
		"https://a..example.org":         false,
		"https://evilexample.org":        false,
		"https://evil.com/.example.org":  false,
		"https://evil.com?.example.org":  false,
		"https://evil.com#.example.org":  false,
		"https://evil.com:1.example.org": false,
		"https://evil.com\\.example.org": false,
		"https://user@a.example.org":     false,
		"https://a.example.org.evil.com": false,
		"https://a.example.net:8443":     true,
		"https://a.example.net":          false,
		"null":                           false,
		"":                               false,
		tooLong:                          false,
	} {
		got, err := commhttp.OriginAllowed(list, o)
		if err != nil || got != want {
			t.Errorf("%.60q: got %v, %v, want %v", o, got, err, want)
		}
	}
}

func TestBadOrigins(t *testing.T) {
	t.Parallel()
	for _, o := range []string{
		"", "null", "example.com", "https://", "https://example.com/", "https://example.com/path", "https://Example.com",
		"https://example.com:443", "http://example.com:80", "https://example.com:", "https://user@example.com", "https://*",
		"https://*.com", "https://*.*.example.com", "https://a.*.example.com", "https://*.127.0.0.1", "https://exa mple.com", "://x",
		"https://example.com?", "https://example.com#",
	} {
		if _, err := commhttp.OriginAllowed([]string{o}, "x"); err == nil {
			t.Errorf("%q was taken", o)
		} else if o != "" && !strings.Contains(err.Error(), o) {
			t.Errorf("%q is not named by: %v", o, err)
		}
	}
	if _, err := commhttp.OriginAllowed([]string{"*", "https://a.example"}, "x"); err == nil {
		t.Error(`"*" beside another was taken`)
	}
}

func FuzzCORSHeaders(f *testing.F) {
	for _, s := range []string{"content-type", "authorization,content-type", "x-request-id, , ", strings.Repeat(",", 5000), "x-evil"} {
		f.Add(s)
	}
	allowed := []string{"Authorization", "Content-Type", "X-Request-Id"}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := commhttp.CORSHeadersAllowed(allowed, []string{s})
		if err != nil {
			t.Fatal(err)
		}
		want := len(s) < 4<<10 && strings.Count(s, ",") < 128
		for name := range strings.SplitSeq(s, ",") {
			switch strings.ToLower(strings.Trim(name, " \t")) {
			case "", "authorization", "content-type", "x-request-id":
			default:
				want = false
			}
		}
		if got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
		if reflected, _ := commhttp.CORSHeadersAllowed([]string{"*"}, []string{s}); reflected && strings.ContainsAny(s, "\r\n\x00:;") {
			t.Errorf("%q would be reflected", s)
		}
	})
}
