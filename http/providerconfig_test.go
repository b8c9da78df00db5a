package commhttp_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/conf/conftest"
)

// live is a gateway on a socket whose section "http" has one key set.
type live struct {
	t      *testing.T
	client *http.Client
	addr   string
	url    string
	log    *syncBuffer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// longBody is worth compressing.
var longBody = strings.Repeat("compressible ", 400)

func liveRoutes(t *testing.T) []commhttp.Option {
	return []commhttp.Option{
		commhttp.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				commhttp.RefuseError(w, r, err)
				return
			}
			w.Header().Set("X-Seen", "1")
			fmt.Fprintf(w, "%s %s", commhttp.ClientAddr(r), b)
		}),
		commhttp.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
			after, err := time.ParseDuration(r.URL.Query().Get("after"))
			if err != nil {
				t.Error(err)
			}
			select {
			case <-r.Context().Done():
			case <-time.After(after):
				fmt.Fprint(w, "late")
			}
		}),
		commhttp.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", r.URL.Query().Get("type"))
			io.WriteString(w, longBody)
		}),
	}
}

func newLive(t *testing.T, section string, secure bool) *live {
	l := &live{t: t, log: new(syncBuffer)}
	if !strings.Contains(section, `"host"`) {
		section = `"host":"127.0.0.1",` + section
	}
	logger := slog.New(slog.NewTextHandler(l.log, nil))
	opts := []comm.Option{
		comm.WithLogger(logger), comm.WithConfigJSON("test.json", []byte(`{"providers":{"http":{`+section+`}}}`)),
		comm.WithProvider(commhttp.New(append(liveRoutes(t), commhttp.WithLogger(logger))...)),
	}
	transport := &http.Transport{DisableCompression: true}
	if secure {
		opts = append(opts, comm.WithDevelopmentCertificate())
	}
	m, err := comm.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.addr = must(m.Addrs("http"))[0]
	l.url = "http://" + l.addr
	if secure {
		transport.TLSClientConfig, _ = m.DevelopmentCertificate()
		l.url = "https://" + l.addr
	}
	t.Cleanup(func() { transport.CloseIdleConnections(); m.Close() })
	l.client = &http.Client{Transport: transport, Timeout: time.Minute}
	return l
}

func (l *live) ask(method, path, body string, header ...string) answer {
	l.t.Helper()
	return ask(l.t, l.client, method, l.url+path, strings.NewReader(body), header...)
}

// raw sends bytes and returns what comes until the server closes, and after how long.
func (l *live) raw(request string) (string, time.Duration) {
	l.t.Helper()
	c := must(net.Dial("tcp", l.addr))
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	began := time.Now()
	fmt.Fprint(c, request)
	b, _ := io.ReadAll(c)
	return string(b), time.Since(began)
}

const app = "https://app.example.com"

// configRow is a section with one key, and its effect.
type configRow struct {
	section string
	check   func(l *live)
}

// configRows observe the effect of each key of the section "http" on a live socket.
func configRows(port string) map[string]configRow {
	preflight := func(l *live, method, header string) answer {
		return l.ask("OPTIONS", "/echo", "", "Origin", app, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", header)
	}
	header := func(name, want string) func(l *live) {
		return func(l *live) { equal(l.t, name, l.ask("GET", "/echo", "").Header.Get(name), want) }
	}
	gzipped := func(l *live, contentType string) bool {
		return l.ask("GET", "/long?type="+contentType, "", "Accept-Encoding", "gzip").Header.Get("Content-Encoding") == "gzip"
	}
	return map[string]configRow{
		"host": {`"host":"127.0.0.1"`, func(l *live) {
			host, p, _ := net.SplitHostPort(l.addr)
			if host != "127.0.0.1" || p == "8080" {
				l.t.Errorf("served on %s", l.addr)
			}
		}},
		"port": {`"port":` + port, func(l *live) { equal(l.t, "address", l.addr, "127.0.0.1:"+port) }},
		"read_timeout": {`"read_timeout":"100ms"`, func(l *live) {
			got, d := l.raw("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
			if !strings.HasPrefix(got, "HTTP/1.1 408") || d > 30*time.Second {
				l.t.Errorf("%q after %v", got, d)
			}
		}},
		"write_timeout": {`"write_timeout":"100ms"`, func(l *live) {
			if got, _ := l.raw("GET /slow?after=300ms HTTP/1.1\r\nHost: a\r\n\r\n"); got != "" {
				l.t.Errorf("got %q, want a cut", got)
			}
		}},
		"idle_timeout": {`"idle_timeout":"200ms"`, func(l *live) {
			got, d := l.raw("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 200") || d < 150*time.Millisecond || d > 30*time.Second {
				l.t.Errorf("%q, closed after %v", got, d)
			}
		}},
		"request_timeout": {`"request_timeout":"50ms"`, func(l *live) { equal(l.t, "status", l.ask("GET", "/slow?after=1m", "").StatusCode, 503) }},
		"max_body_size":   {`"max_body_size":10`, func(l *live) { equal(l.t, "status", l.ask("POST", "/echo", "01234567890").StatusCode, 413) }},
		"trusted_proxies": {`"trusted_proxies":["127.0.0.0/8"]`, func(l *live) {
			equal(l.t, "client", l.ask("GET", "/echo", "", "X-Forwarded-For", "192.0.2.7").body, "192.0.2.7 ")
		}},
		"access_log": {`"access_log":true`, func(l *live) {
			l.ask("GET", "/echo", "")
			eventually(l.t, "the record", func() bool { return strings.Contains(l.log.String(), "http request") })
		}},
		"access_log_headers": {`"access_log":true,"access_log_headers":["X-Of-Interest"]`, func(l *live) {
			l.ask("GET", "/echo", "", "X-Of-Interest", "quite")
			eventually(l.t, "the record", func() bool { return strings.Contains(l.log.String(), "X-Of-Interest=quite") })
		}},
		"cors.origins": {`"cors":{"origins":["` + app + `"]}`, func(l *live) {
			equal(l.t, "origin", l.ask("GET", "/echo", "", "Origin", app).Header.Get("Access-Control-Allow-Origin"), app)
			equal(l.t, "another", l.ask("GET", "/echo", "", "Origin", "https://b.example.com").Header.Get("Access-Control-Allow-Origin"), "")
		}},
		"cors.methods": {`"cors":{"origins":["` + app + `"],"methods":["PATCH"]}`, func(l *live) {
			equal(l.t, "statuses", words(preflight(l, "PATCH", "").StatusCode, preflight(l, "DELETE", "").StatusCode), "204 403")
		}},
		"cors.headers": {`"cors":{"origins":["` + app + `"],"headers":["X-Mine"]}`, func(l *live) {
			equal(l.t, "statuses", words(preflight(l, "GET", "x-mine").StatusCode, preflight(l, "GET", "x-other").StatusCode), "204 403")
		}},
		"cors.exposed_headers": {`"cors":{"origins":["` + app + `"],"exposed_headers":["X-Seen"]}`, func(l *live) {
			equal(l.t, "header", l.ask("GET", "/echo", "", "Origin", app).Header.Get("Access-Control-Expose-Headers"), "X-Seen")
		}},
		"cors.credentials": {`"cors":{"origins":["` + app + `"],"credentials":true}`, func(l *live) {
			equal(l.t, "header", l.ask("GET", "/echo", "", "Origin", app).Header.Get("Access-Control-Allow-Credentials"), "true")
		}},
		"cors.max_age": {`"cors":{"origins":["` + app + `"],"max_age":"90s"}`, func(l *live) {
			equal(l.t, "header", preflight(l, "GET", "").Header.Get("Access-Control-Max-Age"), "90")
		}},
		"compression.min_size": {`"compression":{"min_size":"64KiB"}`, func(l *live) {
			equal(l.t, "compressed below min_size", gzipped(l, "text/plain"), false)
		}},
		"compression.level": {`"compression":{"level":9}`, func(l *live) {
			a := l.ask("GET", "/long?type=text/plain", "", "Accept-Encoding", "gzip")
			if len(a.body) < 10 || a.body[8] != 2 { // RFC 1952 2.3.1: XFL, the slowest algorithm
				l.t.Errorf("not compressed at level 9: %.10q", a.body)
			}
		}},
		"compression.types": {`"compression":{"types":["application/mine"]}`, func(l *live) {
			equal(l.t, "compressed", words(gzipped(l, "application/mine"), gzipped(l, "text/plain")), "true false")
		}},
		"security_headers.frame_options":   {`"security_headers":{"frame_options":"SAMEORIGIN"}`, header("X-Frame-Options", "SAMEORIGIN")},
		"security_headers.referrer_policy": {`"security_headers":{"referrer_policy":"no-referrer"}`, header("Referrer-Policy", "no-referrer")},
		"security_headers.content_security_policy": {
			`"security_headers":{"content_security_policy":"default-src 'self'"}`, header("Content-Security-Policy", "default-src 'self'"),
		},
		"security_headers.opener_policy": {`"security_headers":{"opener_policy":"unsafe-none"}`, header("Cross-Origin-Opener-Policy", "unsafe-none")},
		"security_headers.strict_transport": {
			`"security_headers":{"strict_transport":"60s"}`, header("Strict-Transport-Security", "max-age=60"),
		},
		"cross_origin_protection": {`"cross_origin_protection":false`, func(l *live) {
			equal(l.t, "status", l.ask("POST", "/echo", "", "Sec-Fetch-Site", "cross-site", "Origin", app).StatusCode, 200)
		}},
		"trusted_origins": {`"trusted_origins":["` + app + `"]`, func(l *live) {
			equal(l.t, "trusted", l.ask("POST", "/echo", "", "Sec-Fetch-Site", "cross-site", "Origin", app).StatusCode, 200)
			equal(l.t, "another", l.ask("POST", "/echo", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://b.example.com").StatusCode, 403)
		}},
		"poll_path":    {`"poll_path":"/here"`, func(l *live) { equal(l.t, "status", l.ask("GET", "/here", "").StatusCode, 200) }},
		"live_path":    {`"live_path":"/here"`, func(l *live) { equal(l.t, "body", l.ask("GET", "/here", "").body, "ok\n") }},
		"ready_path":   {`"ready_path":"/here"`, func(l *live) { equal(l.t, "status", l.ask("GET", "/here", "").StatusCode, 200) }},
		"metrics_path": {`"metrics_path":"/here"`, func(l *live) { equal(l.t, "status", l.ask("GET", "/here", "").StatusCode, 200) }},
	}
}

// Each key has one effect, and a key without a row fails.
func TestConfigKeys(t *testing.T) {
	t.Parallel()
	conftest.EachKey(t, new(commhttp.ProviderConfig), configRows(conftest.FreePort(t)), func(t *testing.T, key string, row configRow) {
		row.check(newLive(t, row.section, strings.HasSuffix(key, "strict_transport")))
	})
}

// The effects above are not there by default.
func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	l := newLive(t, `"port":0`, false)
	equal(t, "cross-origin", l.ask("POST", "/echo", "", "Sec-Fetch-Site", "cross-site", "Origin", app).StatusCode, 403)
	a := l.ask("GET", "/long?type=text/plain", "", "Accept-Encoding", "gzip", "Origin", app, "X-Forwarded-For", "192.0.2.7")
	for _, name := range []string{"Content-Encoding", "Access-Control-Allow-Origin", "X-Frame-Options"} {
		equal(t, name, a.Header.Get(name), "")
	}
	equal(t, "client", l.ask("GET", "/echo", "", "X-Forwarded-For", "192.0.2.7").body, "127.0.0.1 ")
	equal(t, "slow", l.ask("GET", "/slow?after=300ms", "").body, "late")
	if strings.Contains(l.log.String(), "http request") {
		t.Error("the access log is on")
	}
	for path, status := range map[string]int{"/poll": 200, "/livez": 200, "/readyz": 200, "/metrics": 200} {
		equal(t, path, l.ask("GET", path, "").StatusCode, status)
	}
}

// The environment wins over the file, options over both; a whole document is read as it stands.
func TestConfigSources(t *testing.T) {
	t.Parallel()
	document := `{"providers":{"http":{"host":"0.0.0.0","port":8080,"read_timeout":"30s","write_timeout":"30s","idle_timeout":"120s"}}}`
	p := commhttp.New(commhttp.WithPollPath("/option"))
	must(comm.New(comm.WithLogger(quiet), comm.WithConfigJSON("config.json", []byte(document)), comm.WithProvider(p),
		comm.WithEnviron([]string{"HTTP_PORT=9090", "HTTP_IDLE_TIMEOUT=7s", "HTTP_POLL_PATH=/env", "HTTP_PROXY=http://proxy:1"}, "")))
	equal(t, "address", p.Address(), "0.0.0.0:9090")
	equal(t, "idle", p.IdleTimeout(), 7*time.Second)
	_, err := comm.New(comm.WithLogger(quiet), comm.WithProvider(commhttp.New()),
		comm.WithConfigJSON("bad.json", []byte(`{"providers":{"http":{"read_timout":"1s","port":70000,"poll_path":7}}}`)))
	for _, part := range []string{"read_timout", "read_timeout", "port", "poll_path", "bad.json"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %q", err, part)
		}
	}
}
