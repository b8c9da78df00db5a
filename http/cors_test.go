package commhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	commhttp "github.com/anasamu/comm/http"
)

// call sends a request straight to h; header is name, value, name, value.
func call(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })

func TestCORSPreflight(t *testing.T) {
	t.Parallel()
	h := must(commhttp.CORS(commhttp.CORSPolicy{
		Origins: []string{"https://app.example.com", "https://*.example.org"}, Methods: []string{"PUT"}, Headers: []string{"X-One", "x-two"},
		Credentials: true, MaxAge: time.Hour, ExposedHeaders: []string{"X-Total"},
	}))(hello)
	const vary = "[Access-Control-Request-Method Access-Control-Request-Headers Origin]"
	for _, tt := range []struct {
		name, origin, method string
		headers              []string
		status               int
	}{
		{"allowed", "https://app.example.com", "PUT", nil, 204},
		{"by wildcard", "https://a.example.org", "PUT", nil, 204},
		{"simple method", "https://app.example.com", "POST", nil, 204},
		{"headers", "https://app.example.com", "PUT", []string{"x-one,x-two"}, 204},
		{"headers spaced and empty", "https://app.example.com", "PUT", []string{" x-one ,,\tX-TWO"}, 204},
		{"headers in lines", "https://app.example.com", "PUT", []string{"x-one", "x-two"}, 204},
		{"origin", "https://evil.example.com", "PUT", nil, 403},
		{"method", "https://app.example.com", "DELETE", nil, 403},
		{"method case", "https://app.example.com", "put", nil, 403},
		{"header", "https://app.example.com", "PUT", []string{"x-one,x-three"}, 403},
		{"hostile list", "https://app.example.com", "PUT", []string{strings.Repeat(",", 5000)}, 403},
		{"many names", "https://app.example.com", "PUT", []string{strings.Repeat(",", 200)}, 403},
	} {
		header := []string{"Origin", tt.origin, "Access-Control-Request-Method", tt.method}
		for _, line := range tt.headers {
			header = append(header, "Access-Control-Request-Headers", line)
		}
		w := call(h, "OPTIONS", "/", header...)
		equal(t, tt.name, w.Code, tt.status)
		equal(t, tt.name+": vary", fmt.Sprint(w.Header()["Vary"]), vary)
		allowed := w.Header().Get("Access-Control-Allow-Methods")
		if tt.status == 403 {
			equal(t, tt.name+": allows", allowed, "")
			equal(t, tt.name+": body", w.Header().Get("Content-Type"), "application/problem+json")
			continue
		}
		equal(t, tt.name+": origin", w.Header().Get("Access-Control-Allow-Origin"), tt.origin)
		equal(t, tt.name+": credentials", w.Header().Get("Access-Control-Allow-Credentials"), "true")
		equal(t, tt.name+": methods", allowed, "PUT")
		equal(t, tt.name+": headers", fmt.Sprint(w.Header()["Access-Control-Allow-Headers"]), fmt.Sprint(tt.headers))
		equal(t, tt.name+": age", w.Header().Get("Access-Control-Max-Age"), "3600")
		equal(t, tt.name+": body", w.Body.Len(), 0)
	}
}

func TestCORSRequests(t *testing.T) {
	t.Parallel()
	one := must(commhttp.CORS(commhttp.CORSPolicy{Origins: []string{"https://app.example.com"}, ExposedHeaders: []string{"X-A", "X-B"}}))(hello)
	all := must(commhttp.CORS(commhttp.CORSPolicy{Origins: []string{"*"}, Headers: []string{"*"}}))(hello)
	none := must(commhttp.CORS(commhttp.CORSPolicy{}))(hello)
	for _, tt := range []struct {
		name                        string
		h                           http.Handler
		method, origin              string
		wantOrigin, exposed, varies string
	}{
		{"allowed", one, "GET", "https://app.example.com", "https://app.example.com", "X-A, X-B", "Origin"},
		{"another", one, "GET", "https://evil.example", "", "", "Origin"},
		{"no origin", one, "GET", "", "", "", "Origin"},
		{"plain OPTIONS", one, "OPTIONS", "https://app.example.com", "https://app.example.com", "X-A, X-B", "Origin"},
		{"all", all, "GET", "https://evil.example", "*", "", ""},
		{"null to all", all, "GET", "null", "*", "", ""},
		{"none", none, "GET", "https://evil.example", "", "", "Origin"},
	} {
		var header []string
		if tt.origin != "" {
			header = []string{"Origin", tt.origin}
		}
		w := call(tt.h, tt.method, "/", header...)
		equal(t, tt.name+": origin", w.Header().Get("Access-Control-Allow-Origin"), tt.wantOrigin)
		equal(t, tt.name+": exposed", w.Header().Get("Access-Control-Expose-Headers"), tt.exposed)
		equal(t, tt.name+": vary", w.Header().Get("Vary"), tt.varies)
		equal(t, tt.name+": body", w.Body.String(), "hello")
	}
	w := call(all, "OPTIONS", "/", "Origin", "https://a.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-any")
	equal(t, "any header", words(w.Code, w.Header().Get("Access-Control-Allow-Headers")), "204 x-any")
}

func TestBadCORS(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]commhttp.CORSPolicy{
		"every page the user's rights": {Origins: []string{"*"}, Credentials: true},
		`"ftp:"`:                       {Origins: []string{"ftp:"}},
		`method "BAD METHOD"`:          {Methods: []string{"BAD METHOD"}},
		`header "X:"`:                  {Headers: []string{"X:"}},
		`header "*" beside`:            {Headers: []string{"*", "X-A"}},
		`exposed header ""`:            {ExposedHeaders: []string{""}},
		"max age 48h0m0s":              {MaxAge: 48 * time.Hour},
		"max age 1ms":                  {MaxAge: time.Millisecond},
	} {
		if _, err := commhttp.CORS(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", p, err, want)
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	h := mustHandler(t,
		commhttp.HandleFunc("/", hello),
		commhttp.WithCORS("https://*.example.org"),
		commhttp.WithTrustedOrigins("https://partner.example"),
		commhttp.WithCrossOriginBypass("POST /hook/{id}"))
	for _, tt := range []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"not a browser", "POST", "/", nil, 200},
		{"same origin", "POST", "/", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"same origin, older browser", "POST", "/", []string{"Origin", "http://example.com"}, 200},
		{"safe method", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 200},
		{"cross-site", "POST", "/", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"cross-site without origin", "DELETE", "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"other origin, older browser", "POST", "/", []string{"Origin", "https://evil.example"}, 403},
		{"of CORS", "POST", "/", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://a.example.org"}, 200},
		{"trusted", "POST", "/", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://partner.example"}, 200},
		{"bypass", "POST", "/hook/1", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 200},
	} {
		equal(t, tt.name, call(h, tt.method, tt.path, tt.header...).Code, tt.status)
	}
	off := mustHandler(t, commhttp.HandleFunc("/", hello), commhttp.WithoutCrossOriginProtection())
	equal(t, "off", call(off, "POST", "/", "Sec-Fetch-Site", "cross-site").Code, 200)
	if _, err := commhttp.CrossOrigin("https://example.com/x"); err == nil {
		t.Error("a bad origin was taken")
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	set := func(p commhttp.SecurityPolicy, target string) http.Header {
		return call(must(commhttp.SecurityHeaders(p))(hello), "GET", target).Header()
	}
	h := set(commhttp.SecurityPolicy{}, "/")
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "strict-origin-when-cross-origin",
		"Cross-Origin-Opener-Policy": "same-origin", "Content-Security-Policy": "", "Strict-Transport-Security": "",
	} {
		equal(t, name, h.Get(name), want)
	}
	p := commhttp.SecurityPolicy{FrameOptions: "-", ReferrerPolicy: "no-referrer", ContentSecurityPolicy: "default-src 'self'", StrictTransport: time.Hour}
	h = set(p, "https://example.com/")
	equal(t, "frame", h.Get("X-Frame-Options"), "")
	equal(t, "referrer", h.Get("Referrer-Policy"), "no-referrer")
	equal(t, "CSP", h.Get("Content-Security-Policy"), "default-src 'self'")
	equal(t, "HSTS on TLS", h.Get("Strict-Transport-Security"), "max-age=3600")
	equal(t, "HSTS in the clear", set(p, "/").Get("Strict-Transport-Security"), "")
	for _, bad := range []commhttp.SecurityPolicy{{FrameOptions: "ALLOW"}, {ReferrerPolicy: "none"}, {ContentSecurityPolicy: "a\r\nX: y"}, {OpenerPolicy: "x"}, {StrictTransport: -1}} {
		if _, err := commhttp.SecurityHeaders(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
