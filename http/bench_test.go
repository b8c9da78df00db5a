package commhttp_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	commhttp "github.com/anasamu/comm/http"
)

var discard = slog.New(slog.DiscardHandler)

// nullWriter is a server's writer that costs nothing, so that only the chain is seen.
type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header                     { return w.header }
func (w *nullWriter) Write(p []byte) (int, error)             { return len(p), nil }
func (w *nullWriter) WriteHeader(int)                         {}
func (w *nullWriter) Flush()                                  {}
func (w *nullWriter) SetReadDeadline(time.Time) error         { return nil }
func (w *nullWriter) SetWriteDeadline(time.Time) error        { return nil }
func (w *nullWriter) ReadFrom(r io.Reader) (n int64, _ error) { return io.Copy(io.Discard, r) }

func BenchmarkChain(b *testing.B) {
	route := commhttp.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	for _, bm := range []struct {
		name string
		h    http.Handler
	}{
		{"mux alone", mux},
		{"defaults", mustHandler(b, route)},
		{"access log", mustHandler(b, route, commhttp.WithAccessLog(), commhttp.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))},
		{"everything", mustHandler(b, route, commhttp.WithAccessLog(), commhttp.WithLogger(discard), commhttp.WithCORS("https://app.example.com"),
			commhttp.WithCompression(), commhttp.WithSecurityHeaders(commhttp.SecurityPolicy{}))},
		{"and a timeout", mustHandler(b, route, commhttp.WithAccessLog(), commhttp.WithLogger(discard), commhttp.WithCORS("https://app.example.com"),
			commhttp.WithCompression(), commhttp.WithSecurityHeaders(commhttp.SecurityPolicy{}), commhttp.WithRequestTimeout(10*time.Second))},
	} {
		b.Run(bm.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/users/7", nil)
			w := &nullWriter{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				bm.h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkCompress(b *testing.B) {
	body := []byte(strings.Repeat(`{"id":12345,"name":"somebody","tags":["a","b"]},`, 400))
	for _, level := range []int{1, 5, 9} {
		b.Run("level "+string(rune('0'+level)), func(b *testing.B) {
			h := must(commhttp.Compress(commhttp.Compression{Level: level}))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Write(body)
			}))
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
			w := &nullWriter{http.Header{}}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	hostile := strings.Repeat(",", 1<<20)
	b.Run("Accept-Encoding", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			commhttp.Negotiate("gzip, deflate, br, zstd")
		}
	})
	b.Run("hostile CORS headers", func(b *testing.B) {
		h := must(commhttp.CORS(commhttp.CORSPolicy{Origins: []string{"https://app.example.com"}}))(hello)
		r := httptest.NewRequest("OPTIONS", "/", nil)
		r.Header.Set("Origin", "https://app.example.com")
		r.Header.Set("Access-Control-Request-Method", "PUT")
		r.Header.Set("Access-Control-Request-Headers", hostile)
		w := &nullWriter{http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			clear(w.header)
			h.ServeHTTP(w, r)
		}
	})
}
