package commhttp_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing/fstest"

	commhttp "github.com/anasamu/comm/http"
)

func ExampleNewHandler() {
	h, err := commhttp.NewHandler(
		commhttp.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "user %s\n", r.PathValue("id"))
		}),
		commhttp.WithCORS("https://app.example.com"),
		commhttp.WithCompression(),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/users/7", nil)
	r.Header.Set("Origin", "https://app.example.com")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
	fmt.Println(w.Header().Get("Access-Control-Allow-Origin"))
	// Output:
	// 200 user 7
	// https://app.example.com
}

// All that is wrong is said at once.
func ExampleNewHandler_errors() {
	nop := func(http.ResponseWriter, *http.Request) {}
	_, err := commhttp.NewHandler(
		commhttp.HandleFunc("GET /a/{x}", nop),
		commhttp.HandleFunc("GET /a/{y}", nop),
		commhttp.WithCORS("https://App.example.com"),
	)
	fmt.Println(err)
	// Output:
	// commhttp: origin "https://App.example.com": browsers send it in lower case, "https://app.example.com"
	// commhttp: route "GET /a/{y}" conflicts with "GET /a/{x}": GET /a/{y} matches the same requests as GET /a/{x}
}

func ExampleStatic() {
	pages := fstest.MapFS{
		"index.html": {Data: []byte("the app")},
		"app.css":    {Data: []byte("body{}")},
		".env":       {Data: []byte("PASSWORD=1")},
	}
	h, err := commhttp.NewHandler(commhttp.Static("/", pages, commhttp.WithFallback("index.html")))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/app.css", "/some/route", "/.env"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code, w.Header().Get("Content-Type"))
	}
	// Output:
	// /app.css 200 text/css; charset=utf-8
	// /some/route 200 text/html; charset=utf-8
	// /.env 404 application/problem+json
}

// Each middleware also stands alone, around any handler.
func ExampleChain() {
	limit, err := commhttp.BodyLimit(10)
	if err != nil {
		fmt.Println(err)
		return
	}
	h := commhttp.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			commhttp.RefuseError(w, r, err)
		}
	}), commhttp.Recover(slog.Default()), limit)

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", io.LimitReader(zeros{}, 11)))
	fmt.Print(w.Body)
	// Output:
	// {"detail":"the request body is larger than the 10 bytes allowed","limit":10,"status":413,"title":"Request Entity Too Large"}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func ExampleAccessLog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "duration" {
				return slog.Attr{}
			}
			return a
		},
	}))
	log, err := commhttp.AccessLog(logger, "User-Agent")
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })

	r := httptest.NewRequest("GET", "/users/7?token=not-logged", nil)
	r.Header.Set("User-Agent", "example/1")
	log(mux).ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// level=INFO msg="http request" method=GET path=/users/7 pattern="GET /users/{id}" status=200 bytes=5 client=192.0.2.1 User-Agent=example/1
}

func ExampleObserve() {
	metrics := commhttp.Observe(func(r *http.Request, res commhttp.Result) {
		fmt.Println(res.Pattern, res.Status, res.Bytes)
	})
	var routes commhttp.Routes
	if err := routes.HandleFunc("GET /a", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }); err != nil {
		fmt.Println(err)
		return
	}
	metrics(&routes).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil))
	// Output:
	// GET /a 200 5
}

func ExampleRoutes() {
	var routes commhttp.Routes
	nop := func(http.ResponseWriter, *http.Request) {}
	_ = routes.HandleFunc("GET /posts/{id}", nop)
	err := routes.HandleFunc("/posts/latest", nop)
	if conflict, ok := errors.AsType[*commhttp.PatternError](err); ok {
		fmt.Printf("%s against %s\n", conflict.Pattern, conflict.Conflicts)
	}
	// Output:
	// /posts/latest against GET /posts/{id}
}

func ExampleProblem() {
	w := httptest.NewRecorder()
	err := commhttp.Problem{
		Type: "https://example.com/problems/out-of-credit", Title: "Out of credit", Status: http.StatusPaymentRequired,
		Fields: map[string]any{"balance": 30},
	}.Write(w, httptest.NewRequest("POST", "/orders", nil))
	fmt.Print(err, " ", w.Body)
	// Output:
	// <nil> {"balance":30,"status":402,"title":"Out of credit","type":"https://example.com/problems/out-of-credit"}
}

func ExampleOnHeader() {
	h := commhttp.RequestID()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		commhttp.OnHeader(w, func(status int, h http.Header) { h.Set("X-Seen", fmt.Sprint(status)) })
		w.WriteHeader(http.StatusAccepted)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Header().Get("X-Seen"))
	// Output: 202
}
