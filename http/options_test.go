package commhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/conf"
)

// Every option that is wrong is in one report, by its value.
func TestOptionErrorsTogether(t *testing.T) {
	t.Parallel()
	_, err := commhttp.NewHandler(
		nil,
		commhttp.Handle("GET /a", hello),
		commhttp.Handle("GET /a", hello),
		commhttp.Handle("GET b", hello),
		commhttp.Handle("/nil", nil),
		commhttp.WithMiddleware(nil),
		commhttp.WithObserver(nil),
		commhttp.WithAddr("localhost"),
		commhttp.WithAddr("localhost:70000"),
		commhttp.WithReadTimeout(-time.Second),
		commhttp.WithRequestTimeout(-2*time.Second),
		commhttp.WithBodyLimit(0),
		commhttp.WithAccessLog("Cookie"),
		commhttp.WithCORS("https://example.com/"),
		commhttp.WithCompressionPolicy(commhttp.Compression{Level: 12}),
		commhttp.WithSecurityHeaders(commhttp.SecurityPolicy{FrameOptions: "MAYBE"}),
		commhttp.WithTrustedOrigins("nonsense"),
		commhttp.WithCrossOriginBypass("GET nonsense2"),
		commhttp.Static("/files", site()),
	)
	if err == nil {
		t.Fatal("all of it was taken")
	}
	for _, want := range []string{
		"an option is nil", `route "GET /a" conflicts with "GET /a"`, `route "GET b"`, `route "/nil": the handler is nil`, "a middleware is nil",
		"the func is nil", "localhost: missing port", `"localhost:70000"`, "read_timeout", "-1s", "request_timeout", "-2s", "max_body_size",
		"Cookie", `"https://example.com/"`, "12", `"MAYBE"`, `"nonsense"`, `"GET nonsense2"`, `"/files"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in:\n%v", want, err)
		}
	}
	if _, ok := errors.AsType[*commhttp.PatternError](err); !ok {
		t.Error("no PatternError inside")
	}
	if _, err := commhttp.NewHandler(commhttp.WithRequestTimeout(30 * time.Second)); err == nil || !strings.Contains(err.Error(), "shorter than the write timeout of 30s") {
		t.Errorf("timeouts that exclude each other: %v", err)
	}
	if _, err := commhttp.NewHandler(commhttp.WithCORS()); err == nil {
		t.Error("CORS without origins was taken")
	}
}

// The configuration can be read from a file, key by key.
func TestConfigFromFile(t *testing.T) {
	t.Parallel()
	doc := `{"host":"0.0.0.0","port":8080,"read_timeout":"30s","write_timeout":"31s","idle_timeout":"120s","request_timeout":"5s",
		"max_body_size":"1MiB","trusted_proxies":["10.0.0.0/8"],"access_log":true,"access_log_headers":["User-Agent"],
		"cors":{"origins":["https://a.example"],"methods":["PUT"],"headers":["X-A"],"exposed_headers":["X-B"],"credentials":true,"max_age":"10m"},
		"compression":{"min_size":"2KiB","level":1,"types":["text/*"]},
		"security_headers":{"frame_options":"SAMEORIGIN","referrer_policy":"no-referrer","content_security_policy":"default-src 'self'","opener_policy":"-","strict_transport":"1h"},
		"cross_origin_protection":false,"trusted_origins":["https://b.example"]}`
	section, err := conf.Parse("config.json", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	c := commhttp.DefaultConfig()
	if err := section.Decode(&c); err != nil {
		t.Fatal(err)
	}
	equal(t, "simple keys", words(c.Host, c.Port, c.ReadTimeout, c.WriteTimeout, c.IdleTimeout, c.RequestTimeout, int64(c.MaxBodySize), c.TrustedProxies, c.AccessLog, c.CrossOriginProtection),
		"0.0.0.0 8080 30s 31s 2m0s 5s 1048576 [10.0.0.0/8] true false")
	equal(t, "CORS", fmt.Sprintf("%+v", *c.CORS), "{Origins:[https://a.example] Methods:[PUT] Headers:[X-A] ExposedHeaders:[X-B] Credentials:true MaxAge:10m0s}")
	equal(t, "compression", words(int64(c.Compression.MinSize), c.Compression.Level, c.Compression.Types), "2048 1 [text/*]")
	equal(t, "security", c.SecurityHeaders.StrictTransport, time.Hour)
	keys, err := conf.Keys(&c)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if last := key[strings.LastIndex(key, ".")+1:]; !strings.Contains(doc, `"`+last+`"`) {
			t.Errorf("key %s is not in this test", key)
		}
	}
}

// Refusals of the outer layers have what the others add, and are logged.
func TestOrderOfTheChain(t *testing.T) {
	t.Parallel()
	var seen []string
	h := mustHandler(t,
		commhttp.HandleFunc("POST /x", func(w http.ResponseWriter, r *http.Request) { panic("no") }),
		commhttp.WithLogger(discard),
		commhttp.WithCORS("https://app.example.com"),
		commhttp.WithBodyLimit(1),
		commhttp.WithSecurityHeaders(commhttp.SecurityPolicy{}),
		commhttp.WithMiddleware(note(&seen, "first"), note(&seen, "second")),
		commhttp.WithMiddleware(note(&seen, "third")),
		commhttp.WithObserver(func(_ *http.Request, res commhttp.Result) { seen = append(seen, fmt.Sprint(res.Status)) }))
	for _, tt := range []struct {
		header []string
		body   string
		want   string
	}{
		{nil, "", "[first second third 500]"},
		{nil, "too long", "[413]"},
		{[]string{"Sec-Fetch-Site", "cross-site"}, "", "[403]"},
	} {
		seen = nil
		r := httptest.NewRequest("POST", "/x", strings.NewReader(tt.body))
		r.Header.Set("Origin", "https://app.example.com")
		if tt.header != nil {
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set(tt.header[0], tt.header[1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		equal(t, "way", fmt.Sprint(seen), tt.want)
		equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), "nosniff")
		equal(t, "frame", w.Header().Get("X-Frame-Options"), "DENY")
		equal(t, "CORS", w.Header().Get("Access-Control-Allow-Origin") != "", tt.header == nil)
		equal(t, "type", w.Header().Get("Content-Type"), "application/problem+json")
	}
}

func note(seen *[]string, name string) commhttp.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*seen = append(*seen, name)
			next.ServeHTTP(w, r)
		})
	}
}

func TestClientAddrInHandlers(t *testing.T) {
	t.Parallel()
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, commhttp.ClientAddr(r), " ", r.RemoteAddr) })
	trusting := mustHandler(t, commhttp.Handle("/", show), commhttp.WithTrustedProxies(netip.MustParsePrefix("192.0.2.0/24")))
	equal(t, "behind a proxy", call(trusting, "GET", "/", "X-Forwarded-For", "203.0.113.9").Body.String(), "203.0.113.9 192.0.2.1:1234")
	equal(t, "by default", call(mustHandler(t, commhttp.Handle("/", show)), "GET", "/", "X-Forwarded-For", "203.0.113.9").Body.String(), "192.0.2.1 192.0.2.1:1234")
	equal(t, "without middleware", call(show, "GET", "/").Body.String(), "192.0.2.1 192.0.2.1:1234")
}

func TestProblem(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set("Content-Length", "9999")
	err := commhttp.Problem{
		Type: "https://example.com/out-of-credit", Title: "Out of credit", Status: 402, Detail: "balance is 30", Instance: "/account/1",
		Fields: map[string]any{"balance": 30, "status": 200, "title": "other"},
	}.Write(w, httptest.NewRequest("GET", "/", nil))
	var got map[string]any
	if err != nil || json.Unmarshal(w.Body.Bytes(), &got) != nil {
		t.Fatal(err, w.Body)
	}
	equal(t, "document", fmt.Sprint(got), "map[balance:30 detail:balance is 30 instance:/account/1 status:402 title:Out of credit type:https://example.com/out-of-credit]")
	equal(t, "header", words(w.Code, w.Header().Get("Content-Length"), w.Header().Get("Cache-Control")), "402  no-store")

	w = httptest.NewRecorder()
	if err := (commhttp.Problem{Fields: map[string]any{"bad": func() {}}}).Write(w, httptest.NewRequest("GET", "/", nil)); err == nil || w.Body.Len() > 0 {
		t.Errorf("what cannot be encoded was written: %v, %s", err, w.Body)
	}
}

func TestRefuseError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("password is hunter2"), `500 {"status":500,"title":"Internal Server Error"}`},
		{fmt.Errorf("reading: %w", &http.MaxBytesError{Limit: 10}), `413 {"detail":"the request body is larger than the 10 bytes allowed","limit":10,"status":413,"title":"Request Entity Too Large"}`},
		{fmt.Errorf("reading: %w", os.ErrDeadlineExceeded), `408 {"detail":"the request body took too long to arrive","status":408,"title":"Request Timeout"}`},
		{context.DeadlineExceeded, `503 {"detail":"the request took too long to handle","status":503,"title":"Service Unavailable"}`},
		{fmt.Errorf("wrapped: %w", commhttp.Problem{Status: 409, Detail: "taken"}), `409 {"detail":"taken","status":409,"title":"Conflict"}`},
		{commhttp.Problem{Status: 409, Fields: map[string]any{"bad": func() {}}}, `500 {"status":500,"title":"Internal Server Error"}`},
	} {
		w := httptest.NewRecorder()
		commhttp.RefuseError(w, httptest.NewRequest("GET", "/", nil), tt.err)
		equal(t, tt.err.Error(), words(w.Code, strings.TrimSpace(w.Body.String())), tt.want)
	}
	equal(t, "as an error", commhttp.Problem{Status: 404, Detail: "gone"}.Error(), "Not Found: gone")
}

// Many requests at once through everything: what one client gets is its own.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	h := full(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, commhttp.RequestIDFrom(r.Context()), " ", strings.Repeat(string(body), 500))
	})
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		errs := make(chan error, 8)
		for g := range cap(errs) {
			go func() {
				for i := range 50 {
					mine := fmt.Sprintf("<%d-%d>", g, i)
					a, err := tryAsk(t.Context(), client, "POST", url+"/x", strings.NewReader(mine), "Accept-Encoding", "gzip")
					if err == nil && gunzip(t, a.body) != a.Header.Get("X-Request-Id")+" "+strings.Repeat(mine, 500) {
						err = fmt.Errorf("%s got another's answer", mine)
					}
					if err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}
