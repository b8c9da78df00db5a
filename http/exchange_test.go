package commhttp_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/rawconn"
)

// full is every built-in middleware at once, around one handler at /x.
func full(t testing.TB, h http.HandlerFunc, more ...commhttp.Option) http.Handler {
	return mustHandler(t, append([]commhttp.Option{
		commhttp.HandleFunc("/x", h),
		commhttp.WithCompression(),
		commhttp.WithAccessLog(),
		commhttp.WithLogger(slog.New(slog.DiscardHandler)),
		commhttp.WithSecurityHeaders(commhttp.SecurityPolicy{}),
		commhttp.WithRequestTimeout(1e10),
	}, more...)...)
}

// What the server's writer can do must survive the whole chain.
func TestWriterCapabilities(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts []commhttp.Option
	}{
		{"with timeout", nil},
		{"without timeout", []commhttp.Option{commhttp.WithRequestTimeout(0)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := full(t, func(w http.ResponseWriter, r *http.Request) {
				_, hijacker := w.(http.Hijacker)
				_, flusher := w.(http.Flusher)
				_, readerFrom := w.(io.ReaderFrom)
				rc := http.NewResponseController(w)
				fmt.Fprintln(w, r.ProtoMajor, hijacker, flusher, readerFrom, rc.Flush(), rc.EnableFullDuplex() == nil)
			}, tt.opts...)
			onServers(t, h, func(t *testing.T, client *http.Client, url string) {
				a := ask(t, client, "GET", url+"/x", nil)
				want := "1 true true true <nil> true\n"
				if a.ProtoMajor == 2 {
					want = "2 false true true <nil> true\n"
				}
				equal(t, "capabilities", a.body, want)
			})
		})
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	results := make(chan commhttp.Result, 1)
	h := mustHandler(t,
		commhttp.WithObserver(func(_ *http.Request, res commhttp.Result) { results <- res }),
		commhttp.WithLogger(slog.New(slog.DiscardHandler)),
		commhttp.WithRequestTimeout(1e10),
		// Middleware that copies the request must not hide the pattern.
		commhttp.WithMiddleware(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r.WithContext(r.Context())) })
		}),
		commhttp.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
			w.WriteHeader(http.StatusTeapot) // too late
			io.WriteString(w, r.PathValue("id")+r.Pattern)
		}),
		commhttp.HandleFunc("GET /silent", func(http.ResponseWriter, *http.Request) {}),
		commhttp.HandleFunc("POST /abort", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }),
	)
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		a := ask(t, client, "GET", url+"/users/7", nil)
		res := <-results
		equal(t, "body", a.body, "7GET /users/{id}")
		equal(t, "pattern", res.Pattern, "GET /users/{id}")
		equal(t, "status", res.Status, http.StatusAccepted)
		equal(t, "bytes", res.Bytes, int64(len(a.body)))
		equal(t, "id", res.RequestID, a.Header.Get("X-Request-Id"))
		equal(t, "client", res.Client, netip.MustParseAddr("127.0.0.1"))
		if res.FirstByte <= 0 || res.Duration < res.FirstByte {
			t.Errorf("first byte after %v of %v", res.FirstByte, res.Duration)
		}

		ask(t, client, "GET", url+"/silent", nil)
		res = <-results
		equal(t, "status of silence", res.Status, http.StatusOK)

		ask(t, client, "GET", url+"/nowhere", nil)
		res = <-results
		equal(t, "unrouted", words(res.Pattern, res.Status), "404")

		if _, err := tryAsk(t.Context(), client, "POST", url+"/abort", nil); err == nil {
			t.Error("an aborted response arrived")
		}
		res = <-results
		equal(t, "aborted", fmt.Sprint(res.Aborted, res.Status), "true 0")
	})
}

// A hijacked connection is logged when it is closed, keeps its syscalls, and has no
// deadlines left.
func TestHijackIsLoggedAtItsEnd(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	conns, logged := make(chan net.Conn, 1), make(chan commhttp.Result, 1)
	h := full(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conns <- conn
	}, commhttp.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		commhttp.WithObserver(func(_ *http.Request, res commhttp.Result) { logged <- res })) // outside of the log
	_, base := server(t, h, false)
	raw, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	fmt.Fprint(raw, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n")
	conn := <-conns
	if _, ok := conn.(syscall.Conn); !ok {
		t.Errorf("%T has no SyscallConn", conn)
	}
	if rawconn.Under(raw) != nil && rawconn.Under(conn) == nil {
		t.Errorf("%T does not let its bytes go directly", conn)
	}
	if got := log.String(); got != "" {
		t.Errorf("logged while open: %s", got)
	}
	io.WriteString(conn, "hello")
	buf := make([]byte, 5)
	io.ReadFull(raw, buf)
	equal(t, "over the hijacked connection", string(buf), "hello")
	conn.Close()
	conn.Close()
	equal(t, "hijacked", (<-logged).Hijacked, true)
	got := log.String()
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, "status=101") || !strings.Contains(got, "hijacked=true") {
		t.Errorf("log: %s", got)
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	h := mustHandler(t,
		commhttp.HandleFunc("GET /a/{id}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "four") }),
		commhttp.WithAccessLog("User-Agent"),
		commhttp.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	r := httptest.NewRequest("GET", "/a/1?token=secret", nil)
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("User-Agent", strings.Repeat("u", 1000))
	h.ServeHTTP(httptest.NewRecorder(), r)
	got := log.String()
	for _, want := range []string{"method=GET", "path=/a/1", `pattern="GET /a/{id}"`, "status=200", "bytes=4", "duration=", "request_id=", "client=192.0.2.1", "User-Agent=u"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "secret") || strings.Count(got, "u") > 300 || strings.Count(got, "\n") != 1 {
		t.Errorf("log: %s", got)
	}
	for _, bad := range []string{"authorization", "Cookie", "bad name"} {
		if _, err := commhttp.AccessLog(nil, bad); err == nil {
			t.Errorf("header %q was taken", bad)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tt := range []struct {
		name, remote, inbound string
		kept                  bool
	}{
		{"from a proxy", "10.1.1.1:1", "abc-DEF_1.2:3/4+5=@", true},
		{"from anyone", "192.0.2.1:1", "abc", false},
		{"too long", "10.1.1.1:1", strings.Repeat("a", 129), false},
		{"newline", "10.1.1.1:1", "a\nb", false},
		{"space", "10.1.1.1:1", "a b", false},
		{"none", "10.1.1.1:1", "", false},
	} {
		var inside string
		h := commhttp.RequestID(proxies...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			inside = commhttp.RequestIDFrom(r.Context())
		}))
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.remote
		r.Header.Set("X-Request-Id", tt.inbound)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		equal(t, tt.name+": header", w.Header().Get("X-Request-Id"), inside)
		equal(t, tt.name+": kept", inside == tt.inbound, tt.kept)
		if !commhttp.ValidRequestID(inside) {
			t.Errorf("%s: bad id %q", tt.name, inside)
		}
	}
}

func TestRequestIDsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	h := commhttp.RequestID()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen[commhttp.RequestIDFrom(r.Context())] = true }))
	for range 10_000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	equal(t, "different ids", len(seen), 10_000)
}

func TestRecover(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	h := full(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"gone"`)
		switch r.URL.RawQuery {
		case "late":
			io.WriteString(w, "some")
			http.NewResponseController(w).Flush()
		case "held":
			io.WriteString(w, "not to be seen")
		case "abort":
			panic(http.ErrAbortHandler)
		}
		panicHere()
	}, commhttp.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		// With gzip negotiated, a short body is still held back and can be replaced.
		for _, query := range []string{"?early", "?held"} {
			a := ask(t, client, "GET", url+"/x"+query, nil, "Accept-Encoding", "gzip")
			equal(t, "status", a.StatusCode, 500)
			equal(t, "type", a.Header.Get("Content-Type"), "application/problem+json")
			equal(t, "tag", a.Header.Get("Etag"), "")
			if strings.Contains(a.body, "seen") || strings.Contains(a.body, "very bad") {
				t.Errorf("the body tells: %s", a.body)
			}
		}
		if got := log.String(); !strings.Contains(got, "very bad") || !strings.Contains(got, "panicHere") {
			t.Errorf("no panic or stack in the log: %s", got)
		}
		a, err := tryAsk(t.Context(), client, "GET", url+"/x?late", nil)
		if err == nil && a.err == nil {
			t.Errorf("an incomplete answer looks complete: %q", a.body)
		}
		before := strings.Count(log.String(), "panicked")
		if _, err := tryAsk(t.Context(), client, "POST", url+"/x?abort", nil); err == nil {
			t.Error("ErrAbortHandler was answered")
		}
		equal(t, "ErrAbortHandler in the log", strings.Count(log.String(), "panicked"), before)
	})
}

func panicHere() { panic("very bad") }

func TestOnHeader(t *testing.T) {
	t.Parallel()
	h := full(t, func(w http.ResponseWriter, _ *http.Request) {
		ok := commhttp.OnHeader(w, func(status int, h http.Header) { h.Set("X-Late", fmt.Sprint(status)) })
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, ok, commhttp.OnHeader(w, func(int, http.Header) { t.Error("called after the header") }))
		http.NewResponseController(w).Flush()
		fmt.Fprint(w, commhttp.OnHeader(w, func(int, http.Header) { t.Error("called after the header") }))
	}, commhttp.WithMiddleware(commhttp.RequestID()))
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		a := ask(t, client, "GET", url+"/x", nil)
		equal(t, "header", a.Header.Get("X-Late"), "201")
		equal(t, "body", a.body, "true false"+"false")
	})
	equal(t, "on a foreign writer", commhttp.OnHeader(httptest.NewRecorder(), nil), false)
}

// A wrapper that knows nothing of ours may stand in the middle.
func TestForeignWrapper(t *testing.T) {
	t.Parallel()
	results := make(chan commhttp.Result, 1)
	type foreign struct{ http.ResponseWriter }
	h := commhttp.Chain(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, strings.Repeat("x", 2000)+commhttp.RequestIDFrom(r.Context()))
		}),
		commhttp.Observe(func(_ *http.Request, r commhttp.Result) { results <- r }),
		commhttp.RequestID(),
		nil,
		func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(foreign{w}, r) })
		},
		must(commhttp.Compress(commhttp.Compression{})),
	)
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	h.ServeHTTP(w, r)
	res := <-results
	equal(t, "coding", w.Header().Get("Content-Encoding"), "gzip")
	equal(t, "bytes", res.Bytes, int64(w.Body.Len()))
	if plain := gunzip(t, w.Body.String()); !strings.HasSuffix(plain, "x"+res.RequestID) {
		t.Errorf("the id inside is another: %q", plain[1990:])
	}
}

// Large files go through ReadFrom in pieces, whole.
func TestReadFrom(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef"), 200<<10/16*3) // not a multiple of the piece
	name := t.TempDir() + "/file.bin"
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	h := full(t, func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		if r.URL.RawQuery == "limited" {
			io.CopyN(w, f, 300_000)
			return
		}
		io.Copy(w, f)
	})
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		equal(t, "whole", ask(t, client, "GET", url+"/x", nil).body == string(content), true)
		equal(t, "limited", ask(t, client, "GET", url+"/x?limited", nil).body == string(content[:300_000]), true)
	})
}

// The 404 and 405 of the mux are problem documents, its redirects stay.
func TestRoutes(t *testing.T) {
	t.Parallel()
	h := mustHandler(t,
		commhttp.HandleFunc("GET /a/{x}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.PathValue("x")) }),
		commhttp.HandleFunc("/dir/", func(w http.ResponseWriter, r *http.Request) {}))
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		equal(t, "value", ask(t, client, "GET", url+"/a/b%2Fc", nil).body, "b/c")
		a := ask(t, client, "GET", url+"/none", nil)
		equal(t, "404", words(a.StatusCode, a.Header.Get("Content-Type")), "404 application/problem+json")
		if !strings.Contains(a.body, `"request_id":"`+a.Header.Get("X-Request-Id")) || strings.Count(a.body, "\n") != 1 {
			t.Errorf("body: %s", a.body)
		}
		a = ask(t, client, "POST", url+"/a/b", nil)
		equal(t, "405", words(a.StatusCode, a.Header.Get("Allow"), a.Header.Get("Content-Type")), "405 GET, HEAD application/problem+json")
		a = ask(t, client, "GET", url+"/dir", nil)
		equal(t, "redirect", words(a.StatusCode, a.Header.Get("Location")), "307 /dir/")
	})
}

func TestPatternErrors(t *testing.T) {
	t.Parallel()
	nop := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	var rt commhttp.Routes
	for _, p := range []string{"GET /a/{x}", "/b/", "GET /c"} {
		if err := rt.Handle(p, nop); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		pattern   string
		h         http.Handler
		conflicts string
	}{
		{"GET /a/{y}", nop, "GET /a/{x}"},
		{"/{z}/b", nop, "GET /a/{x}"},
		{"GET /c", nop, "GET /c"},
		{"", nop, ""},
		{"GET a", nop, ""},
		{"GET /{x", nop, ""},
		{"GET /{x}/{x}", nop, ""},
		{"/nil", nil, ""},
		{"/nilfunc", http.HandlerFunc(nil), ""},
	} {
		err := rt.Handle(tt.pattern, tt.h)
		pe, ok := err.(*commhttp.PatternError)
		if !ok {
			t.Errorf("%q: got %v", tt.pattern, err)
			continue
		}
		equal(t, "pattern", pe.Pattern, tt.pattern)
		equal(t, "conflict of "+tt.pattern, pe.Conflicts, tt.conflicts)
		if !strings.Contains(pe.Error(), fmt.Sprintf("%q", tt.conflicts)) && tt.conflicts != "" || strings.Contains(pe.Error(), ".go") {
			t.Errorf("%q: %v", tt.pattern, err)
		}
	}
	equal(t, "patterns", fmt.Sprint(rt.Patterns()), "[GET /a/{x} /b/ GET /c]")
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	h := full(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		switch {
		case err != nil && r.URL.RawQuery == "":
			commhttp.RefuseError(w, r, err)
		case err == nil:
			io.WriteString(w, "fits")
		}
	}, commhttp.WithBodyLimit(1000))
	onServers(t, h, func(t *testing.T, client *http.Client, base string) {
		for _, tt := range []struct {
			name, query string
			body        io.Reader
			status      int
		}{
			{"fits", "", strings.NewReader(strings.Repeat("x", 1000)), 200},
			{"announced", "", strings.NewReader(strings.Repeat("x", 1001)), 413},
			{"chunked", "", io.MultiReader(strings.NewReader(strings.Repeat("x", 1001))), 413},
			{"chunked, handler silent", "?silent", io.MultiReader(strings.NewReader(strings.Repeat("x", 1001))), 413},
		} {
			a := ask(t, client, "POST", base+"/x"+tt.query, tt.body)
			equal(t, tt.name, a.StatusCode, tt.status)
			if tt.status == 413 && (!strings.Contains(a.body, `"limit":1000`) || a.Header.Get("Content-Type") != "application/problem+json") {
				t.Errorf("%s: %s", tt.name, a.body)
			}
		}
	})
}

// A client that goes on sending a refused body must not be read to the end.
func TestBodyLimitClosesConnection(t *testing.T) {
	t.Parallel()
	_, base := server(t, full(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		commhttp.RefuseError(w, r, err)
	}, commhttp.WithBodyLimit(10)), false)
	u, _ := url.Parse(base)
	for name, head := range map[string]string{"announced": "Content-Length: 1000000\r\n\r\nx", "chunked": "Transfer-Encoding: chunked\r\n\r\n20\r\n" + strings.Repeat("x", 32) + "\r\n"} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: x\r\n%s", head)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		equal(t, name, fmt.Sprint(resp.StatusCode, resp.Close), "413 true")
		resp.Body.Close()
		conn.Close()
	}
}
