package commhttp_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	commhttp "github.com/anasamu/comm/http"
)

var fileTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func zipped(s string) []byte {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	gz.Write([]byte(s))
	gz.Close()
	return b.Bytes()
}

func site() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), ModTime: fileTime} }
	return fstest.MapFS{
		"index.html":       file("<!doctype html>root"),
		"app.js":           file("let x = 1"),
		"app.js.gz":        {Data: zipped("let x = 1"), ModTime: fileTime},
		"sub/index.html":   file("<!doctype html>sub"),
		"bare/a.txt":       file("a"),
		"odd:name/in.txt":  file("odd"),
		".env":             file("secret"),
		".git/config":      file("secret"),
		"sub/.hidden/x.js": file("secret"),
		"timeless.css":     {Data: []byte("body{}")},
		"pipe":             {Mode: fs.ModeNamedPipe},
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	h := mustHandler(t,
		commhttp.Static("/s/", site(), commhttp.WithCacheControl("public, max-age=60")),
		commhttp.Static("GET /spa/{rest...}", site(), commhttp.WithFallback("index.html")),
		commhttp.Static("/other/", site(), commhttp.WithIndex("a.txt")))
	for _, tt := range []struct {
		method, path string
		status       int
		body         string // or the location of a redirect
	}{
		{"GET", "/s/app.js", 200, "let x = 1"},
		{"HEAD", "/s/app.js", 200, ""},
		{"GET", "/s/", 200, "<!doctype html>root"},
		{"GET", "/s/index.html", 200, "<!doctype html>root"},
		{"GET", "/s/sub/", 200, "<!doctype html>sub"},
		{"GET", "/s/sub?a=b", 301, "./sub/?a=b"},
		{"GET", "/s/bare/a.txt", 200, "a"},
		{"GET", "/s/timeless.css", 200, "body{}"},
		{"GET", "/s/odd:name/in.txt", 200, "odd"},
		{"POST", "/s/app.js", 405, ""},
		{"GET", "/s/none", 404, ""},
		{"GET", "/s/app.js/", 404, ""},
		{"GET", "/s/bare/", 404, ""},
		{"GET", "/s/bare", 404, ""},
		{"GET", "/s/.env", 404, ""},
		{"GET", "/s/.git/config", 404, ""},
		{"GET", "/s/sub/.hidden/x.js", 404, ""},
		{"GET", "/s/%2e%67it/config", 404, ""},
		{"GET", "/s/..%2fapp.js", 404, ""},
		{"GET", "/s/sub%2f..%2f..%2fapp.js", 404, ""},
		{"GET", "/s/sub%5c..%5capp.js", 404, ""},
		{"GET", "/s/app.js%00", 404, ""},
		{"GET", "/s/%2f%2fexample.com", 404, ""},
		{"GET", "/s/%2f", 404, ""},
		{"GET", "/s/pipe", 404, ""},
		{"GET", "/spa/some/page", 200, "<!doctype html>root"},
		{"GET", "/spa/some/page/", 200, "<!doctype html>root"},
		{"GET", "/spa/missing.js", 404, ""},
		{"GET", "/spa/.env", 404, ""},
		{"GET", "/spa/app.js", 200, "let x = 1"},
		{"GET", "/other/bare/", 200, "a"},
		{"GET", "/other/", 404, ""},
	} {
		w := call(h, tt.method, tt.path)
		equal(t, tt.method+" "+tt.path, w.Code, tt.status)
		switch {
		case tt.status == 301:
			equal(t, tt.path+": location", w.Header().Get("Location"), tt.body)
		case tt.status == 200:
			equal(t, tt.path+": body", w.Body.String(), tt.body)
			if strings.HasPrefix(tt.path, "/s/") {
				equal(t, tt.path+": cache", w.Header().Get("Cache-Control"), "public, max-age=60")
			}
		default:
			equal(t, tt.path+": type", w.Header().Get("Content-Type"), "application/problem+json")
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s: %s", tt.path, w.Body)
			}
		}
	}
	equal(t, "fallback's cache", call(h, "GET", "/spa/page").Header().Get("Cache-Control"), "no-cache")
}

func TestStaticOverServers(t *testing.T) {
	t.Parallel()
	h := mustHandler(t, commhttp.Static("/", site()), commhttp.WithCompression())
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		a := ask(t, client, "GET", url+"/app.js", nil, "Accept-Encoding", "gzip")
		equal(t, "precompressed", fmt.Sprint(a.Header.Get("Content-Encoding"), a.Header.Get("Vary"), gunzip(t, a.body)), "gzipAccept-Encodinglet x = 1")
		if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/javascript") {
			t.Errorf("type %q", got)
		}
		zippedTag := a.Header.Get("Etag")
		a = ask(t, client, "GET", url+"/app.js", nil)
		equal(t, "plain", a.body+a.Header.Get("Vary"), "let x = 1Accept-Encoding")
		if a.Header.Get("Etag") == zippedTag {
			t.Error("both variants have one tag")
		}
		equal(t, "modified", a.Header.Get("Last-Modified"), "Fri, 02 Jan 2026 03:04:05 GMT")
		tag := a.Header.Get("Etag")
		equal(t, "by tag", ask(t, client, "GET", url+"/app.js", nil, "If-None-Match", tag).StatusCode, 304)
		a = ask(t, client, "GET", url+"/app.js", nil, "Range", "bytes=4-", "Accept-Encoding", "gzip")
		equal(t, "range", fmt.Sprint(a.StatusCode, a.body, a.Header.Get("Content-Range")), "206x = 1bytes 4-8/9")
		first := ask(t, client, "GET", url+"/timeless.css", nil)
		again := ask(t, client, "GET", url+"/timeless.css", nil)
		if first.Header.Get("Etag") == "" || first.Header.Get("Last-Modified") != "" {
			t.Errorf("without a time: %v", first.Header)
		}
		equal(t, "hashed tag", again.Header.Get("Etag"), first.Header.Get("Etag"))
	})
}

func TestOpenDir(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	outside := filepath.Join(root, "outside.txt")
	inside := filepath.Join(root, "pub")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{outside: "secret", filepath.Join(inside, "a.txt"): "a"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	linked := os.Symlink(outside, filepath.Join(inside, "link.txt")) == nil
	dir, err := commhttp.OpenDir(inside)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	h := must(commhttp.Files(dir))
	equal(t, "file", call(h, "GET", "/a.txt").Body.String(), "a")
	if linked {
		equal(t, "link out", call(h, "GET", "/link.txt").Code, 404)
	}
	if _, err := commhttp.OpenDir(filepath.Join(root, "none")); err == nil {
		t.Error("opened nothing")
	}
}

// A zip's files cannot seek.
func TestZip(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	f, _ := zw.Create("a.txt")
	f.Write([]byte("from the zip"))
	zw.Close()
	zr, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	h := must(commhttp.Files(zr))
	equal(t, "whole", call(h, "GET", "/a.txt").Body.String(), "from the zip")
	equal(t, "range", call(h, "GET", "/a.txt", "Range", "bytes=5-7").Body.String(), "the")
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]commhttp.Option{
		"nil fs":       commhttp.Static("/", nil),
		"no slash":     commhttp.Static("/a", site()),
		"one segment":  commhttp.Static("/{a}", site()),
		"index":        commhttp.Static("/", site(), commhttp.WithIndex("a/b")),
		"dot index":    commhttp.Static("/", site(), commhttp.WithIndex(".htaccess")),
		"fallback":     commhttp.Static("/", site(), commhttp.WithFallback("../x")),
		"cache header": commhttp.Static("/", site(), commhttp.WithCacheControl("a\nb")),
		"nil option":   commhttp.Static("/", site(), nil),
	} {
		if _, err := commhttp.NewHandler(opt); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// No path finds a hidden file, or one outside, or another host.
func FuzzStaticPath(f *testing.F) {
	for _, s := range []string{"/app.js", "/sub", "/../.env", "//example.com/..", "/sub/./index.html", "/%2e%2e/", "\\..\\", "/a\x00b", "/.git/config"} {
		f.Add(s)
	}
	fsys := site()
	h := must(commhttp.Files(fsys, commhttp.WithFallback("index.html")))
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequest("GET", "http://example.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path = path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch {
		case strings.Contains(w.Body.String(), "secret"):
			t.Errorf("%q shows a hidden file", path)
		case w.Code == http.StatusMovedPermanently:
			base := *r.URL
			base.Path = "/" + strings.TrimPrefix(path, "/")
			to, err := base.Parse(w.Header().Get("Location"))
			if err != nil || to.Host != "example.com" {
				t.Errorf("%q leads to %v, %v", path, to, err)
			}
		case w.Code != 200 && w.Code != 404:
			t.Errorf("%q: status %d", path, w.Code)
		}
		if commhttp.Servable(path) && !fs.ValidPath(path) {
			t.Errorf("%q is servable", path)
		}
	})
}
