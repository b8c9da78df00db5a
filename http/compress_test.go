package commhttp_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	commhttp "github.com/anasamu/comm/http"
)

func gunzip(t testing.TB, s string) string {
	t.Helper()
	gz, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var long = strings.Repeat("0123456789", 1000)

func TestCompress(t *testing.T) {
	t.Parallel()
	answer := func(body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			io.WriteString(w, body)
		}
	}
	for _, tt := range []struct {
		name   string
		h      http.HandlerFunc
		method string
		accept string
		header []string
		gzip   bool
		vary   bool
	}{
		{"text", answer(long, "Content-Type", "text/plain"), "GET", "gzip", nil, true, true},
		{"sniffed", answer(long), "GET", "gzip", nil, true, true},
		{"json with suffix", answer(long, "Content-Type", "application/problem+json; charset=utf-8"), "GET", "gzip", nil, true, true},
		{"SVG", answer(long, "Content-Type", "image/svg+xml"), "POST", "gzip", nil, true, true},
		{"length announced", answer(long, "Content-Length", fmt.Sprint(len(long))), "GET", "gzip", nil, true, true},
		{"small", answer(long[:1023], "Content-Type", "text/plain"), "GET", "gzip", nil, false, true},
		{"just large enough", answer(long[:1024], "Content-Type", "text/plain"), "GET", "gzip", nil, true, true},
		{"small, announced", answer("hi", "Content-Type", "text/plain", "Content-Length", "2"), "GET", "gzip", nil, false, true},
		{"small, plain refused", answer("hi", "Content-Type", "text/plain"), "GET", "gzip, identity;q=0", nil, true, true},
		{"not accepted", answer(long, "Content-Type", "text/plain"), "GET", "br", nil, false, true},
		{"not accepted, sniffed", answer(long), "GET", "", nil, false, true},
		{"image", answer(long, "Content-Type", "image/png"), "GET", "gzip", nil, false, false},
		{"encoded", answer(long, "Content-Type", "text/plain", "Content-Encoding", "br"), "GET", "gzip", nil, false, false},
		{"no-transform", answer(long, "Content-Type", "text/plain", "Cache-Control", "public, No-Transform"), "GET", "gzip", nil, false, false},
		{"event stream", answer(long, "Content-Type", "text/event-stream"), "GET", "gzip", nil, false, false},
		{"HEAD", answer(long, "Content-Type", "text/plain"), "HEAD", "gzip", nil, false, true},
		{"range asked", answer(long, "Content-Type", "text/plain"), "GET", "gzip", []string{"Range", "bytes=0-1"}, false, true},
		{"upgrade asked", answer(long, "Content-Type", "text/plain"), "GET", "gzip", []string{"Upgrade", "websocket", "Connection", "upgrade"}, false, false},
		{"part", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9999/20000")
			w.WriteHeader(206)
			io.WriteString(w, long)
		}, "GET", "gzip", nil, false, false},
		{"no type wanted", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, long)
		}, "GET", "gzip", nil, false, false},
		{"byte by byte", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			for i := range long {
				io.WriteString(w, long[i:i+1])
			}
		}, "GET", "gzip", nil, true, true},
		{"copied", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(w, strings.NewReader(long))
		}, "GET", "gzip", nil, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onServers(t, must(commhttp.Compress(commhttp.Compression{}))(tt.h), func(t *testing.T, client *http.Client, url string) {
				if strings.HasPrefix(url, "https") && len(tt.header) > 2 {
					t.Skip("HTTP/2 has no Upgrade")
				}
				plain := httptest.NewRecorder()
				tt.h(plain, httptest.NewRequest("GET", "/", nil))
				header := tt.header
				if tt.accept != "" {
					header = append([]string{"Accept-Encoding", tt.accept}, header...)
				}
				a := ask(t, client, tt.method, url, nil, header...)
				equal(t, "read", a.err, nil)
				equal(t, "gzip", a.Header.Get("Content-Encoding") == "gzip", tt.gzip)
				equal(t, "vary", a.Header.Get("Vary") == "Accept-Encoding", tt.vary)
				if tt.gzip {
					if len(long) == plain.Body.Len() && len(a.body) > len(long)/10 {
						t.Errorf("compressed %d bytes to %d", plain.Body.Len(), len(a.body))
					}
					a.body = gunzip(t, a.body)
				}
				if tt.method != "HEAD" && a.body != plain.Body.String() {
					t.Errorf("the body changed: %d bytes, want %d", len(a.body), plain.Body.Len())
				}
			})
		})
	}
}

func TestCompressBodyless(t *testing.T) {
	t.Parallel()
	h := must(commhttp.Compress(commhttp.Compression{}))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Etag", `"a"`)
		w.WriteHeader(map[string]int{"/204": 204, "/304": 304, "/200": 200}[r.URL.Path])
	}))
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		for _, status := range []int{204, 304, 200} {
			a := ask(t, client, "GET", fmt.Sprint(url, "/", status), nil, "Accept-Encoding", "gzip, identity;q=0")
			equal(t, "answer", fmt.Sprint(a.StatusCode, a.Header.Get("Content-Encoding"), a.Header.Get("Etag"), len(a.body)), fmt.Sprint(status, ``, `"a"`, 0))
		}
	})
}

func TestCompressETag(t *testing.T) {
	t.Parallel()
	h := must(commhttp.Compress(commhttp.Compression{}))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Accept-Ranges", "bytes")
		http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader(long))
	}))
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		a := ask(t, client, "GET", url, nil, "Accept-Encoding", "gzip")
		equal(t, "compressed", words(a.Header.Get("Etag"), a.Header.Get("Accept-Ranges"), a.ContentLength == int64(len(long))), `W/"v1"  false`)
		a = ask(t, client, "GET", url, nil, "Accept-Encoding", "gzip", "If-None-Match", a.Header.Get("Etag"))
		equal(t, "asked again", a.StatusCode, 304)
		a = ask(t, client, "GET", url, nil)
		equal(t, "plain", words(a.Header.Get("Etag"), a.ContentLength), words(`"v1"`, len(long)))
	})
}

// Each flush delivers all that was written before it, compressed or not.
func TestCompressFlush(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"text/plain", "text/event-stream", ""} {
		step := make(chan string)
		h := must(commhttp.Compress(commhttp.Compression{}))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			for s := range step {
				io.WriteString(w, s)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
			}
		}))
		client, url := server(t, h, false)
		req, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		go func() { step <- "first\n" }()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = resp.Body
		if contentType != "text/event-stream" {
			equal(t, "coding", resp.Header.Get("Content-Encoding"), "gzip")
			if body, err = gzip.NewReader(resp.Body); err != nil {
				t.Fatal(err)
			}
		}
		br := bufio.NewReader(body)
		for _, want := range []string{"first\n", "second\n", "third\n"} {
			if want != "first\n" {
				step <- want
			}
			got, err := br.ReadString('\n')
			if got != want {
				t.Fatalf("%s: got %q, %v, want %q", contentType, got, err, want)
			}
		}
		close(step)
		if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
			t.Errorf("%s: the rest is %q, %v", contentType, rest, err)
		}
		resp.Body.Close()
	}
}

// Writers go back, also from handlers that panic; past the limit responses are plain.
func TestCompressorsAreBounded(t *testing.T) {
	t.Parallel()
	wrap, active := commhttp.Compressing(commhttp.Compression{Level: 1})
	var inside, release sync.WaitGroup
	release.Add(1)
	h := wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, long)
		inside.Done()
		release.Wait()
		if r.URL.RawQuery == "panic" {
			panic(http.ErrAbortHandler)
		}
	}))
	const extra = 10
	var all sync.WaitGroup
	var mu sync.Mutex
	plain := 0
	for i := range commhttp.MaxCompressing + extra {
		inside.Add(1)
		all.Go(func() {
			defer func() { recover() }()
			r := httptest.NewRequest("GET", "/", nil)
			if i%2 == 0 {
				r.URL.RawQuery = "panic"
			}
			r.Header.Set("Accept-Encoding", "gzip")
			w := httptest.NewRecorder()
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				if w.Header().Get("Content-Encoding") == "" && w.Body.String() == long {
					plain++
				}
			}()
			h.ServeHTTP(w, r)
		})
	}
	inside.Wait()
	equal(t, "at once", active(), commhttp.MaxCompressing)
	release.Done()
	all.Wait()
	equal(t, "afterwards", active(), 0)
	equal(t, "plain", plain, extra)
}

func TestBadCompression(t *testing.T) {
	t.Parallel()
	for _, c := range []commhttp.Compression{{MinSize: -1}, {MinSize: 2 << 20}, {Level: 10}, {Level: -1}, {Types: []string{"text"}}, {Types: []string{"text/"}}, {Types: []string{"text/html; charset=x"}}} {
		if _, err := commhttp.Compress(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	h := must(commhttp.Compress(commhttp.Compression{MinSize: 1, Types: []string{"application/x-own", "*+own"}}))
	for contentType, want := range map[string]string{"application/x-own": "gzip", "a/b+own": "gzip", "text/plain": ""} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		h(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			io.WriteString(w, "x")
		})).ServeHTTP(w, r)
		equal(t, contentType, w.Header().Get("Content-Encoding"), want)
	}
}
