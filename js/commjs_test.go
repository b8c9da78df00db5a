package commjs_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	commjs "github.com/anasamu/comm/js"
)

func serve(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Header = header
	w := httptest.NewRecorder()
	commjs.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHandler(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, path string
		status       int
		contentType  string
		body         []byte
	}{
		{"GET", "/comm.js", 200, "text/javascript; charset=utf-8", commjs.Source()},
		{"GET", "/comm.d.ts", 200, "text/plain; charset=utf-8", commjs.Types()},
		{"GET", "/comm.wt.js", 200, "text/javascript; charset=utf-8", commjs.WebTransportSource()},
		{"GET", "/comm.wt.d.ts", 200, "text/plain; charset=utf-8", commjs.WebTransportTypes()},
		{"HEAD", "/comm.js", 200, "text/javascript; charset=utf-8", nil},
		{"GET", "/", 404, "text/plain; charset=utf-8", []byte("404 page not found\n")},
		{"GET", "/doc.go", 404, "text/plain; charset=utf-8", []byte("404 page not found\n")},
		{"POST", "/comm.js", 405, "text/plain; charset=utf-8", []byte("method POST: allowed are GET and HEAD\n")},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			t.Parallel()
			res := serve(t, tt.method, tt.path, http.Header{})
			if res.StatusCode != tt.status {
				t.Errorf("status %d, want %d", res.StatusCode, tt.status)
			}
			if got := res.Header.Get("Content-Type"); got != tt.contentType {
				t.Errorf("Content-Type %q, want %q", got, tt.contentType)
			}
			if got := body(t, res); got != string(tt.body) {
				t.Errorf("body of %d bytes, want %d", len(got), len(tt.body))
			}
			if tt.status == 405 && res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", res.Header.Get("Allow"))
			}
		})
	}
}

func TestHandlerRevalidates(t *testing.T) {
	t.Parallel()
	first := serve(t, "GET", "/comm.js", http.Header{})
	etag := first.Header.Get("ETag")
	if !regexp.MustCompile(`^"[0-9a-f]{32}"$`).MatchString(etag) {
		t.Fatalf("ETag %s", etag)
	}
	if got := first.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control %q", got)
	}
	again := serve(t, "GET", "/comm.js", http.Header{"If-None-Match": {etag}})
	if again.StatusCode != http.StatusNotModified || body(t, again) != "" {
		t.Errorf("If-None-Match: status %d, want 304 without a body", again.StatusCode)
	}
	other := serve(t, "GET", "/comm.js", http.Header{"If-None-Match": {`"0"`}})
	if other.StatusCode != http.StatusOK {
		t.Errorf("another ETag: status %d, want 200", other.StatusCode)
	}
	if types := serve(t, "GET", "/comm.d.ts", http.Header{}); types.Header.Get("ETag") == etag {
		t.Error("both files have the same ETag")
	}
}

// The modules stand alone: they import nothing and name no address.
func TestSourceStandsAlone(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`(?m)^\s*import\b`, `\bimport\(`, `\brequire\(`, `https?://`, `\beval\(`, `\binnerHTML\b`} {
		for name, source := range map[string][]byte{"comm.js": commjs.Source(), "comm.wt.js": withoutComments(commjs.WebTransportSource())} {
			if m := regexp.MustCompile(bad).Find(source); m != nil {
				t.Errorf("%s holds %q", name, m)
			}
		}
	}
}

// withoutComments leaves out lines that are one: the module's shows how it is imported.
func withoutComments(source []byte) []byte {
	return regexp.MustCompile(`(?m)^//.*$`).ReplaceAll(source, nil)
}

// Every exported name of a module is declared, and none is declared that is not there.
func TestTypesMatchSource(t *testing.T) {
	t.Parallel()
	checkTypes(t, "comm", commjs.Source(), commjs.Types())
	checkTypes(t, "comm.wt", commjs.WebTransportSource(), commjs.WebTransportTypes())
}

func checkTypes(t *testing.T, module string, source, types []byte) {
	t.Helper()
	values := regexp.MustCompile(`(?m)^export (?:class|function|const) (\w+)`)
	names := func(src []byte) (out []string) {
		for _, m := range values.FindAllSubmatch(src, -1) {
			out = append(out, string(m[1]))
		}
		return out
	}
	want, got := names(source), names(types)
	for _, name := range want {
		if !strings.Contains(" "+strings.Join(got, " ")+" ", " "+name+" ") {
			t.Errorf("%s.d.ts does not declare %s", module, name)
		}
	}
	if len(want) == 0 || len(want) != len(got) {
		t.Errorf("%s.js exports %d names, its types declare %d", module, len(want), len(got))
	}
}

// Every close reason and the version stand in the module as PROTOCOL.md has them.
func TestSourceFollowsProtocol(t *testing.T) {
	t.Parallel()
	protocol, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\d{4}) \\| (yes|no)").FindAllSubmatch(protocol, -1)
	if len(rows) < 15 {
		t.Fatalf("%d close reasons in PROTOCOL.md", len(rows))
	}
	for _, row := range rows {
		if string(row[1]) == "client" { // shares its code with normal, and answers the client's own goodbye
			continue
		}
		line := fmt.Sprintf("%s: ['%s', %t],", row[2], row[1], string(row[3]) == "yes")
		if !bytes.Contains(commjs.Source(), []byte(line)) {
			t.Errorf("comm.js has no %s", line)
		}
	}
	if !bytes.Contains(commjs.Source(), []byte("const SUBPROTOCOL = 'comm.v1.json'")) {
		t.Error("comm.js does not offer comm.v1.json")
	}
}

func TestSourceIsACopy(t *testing.T) {
	t.Parallel()
	commjs.Source()[0] = 0
	commjs.Types()[0] = 0
	if commjs.Source()[0] == 0 || commjs.Types()[0] == 0 {
		t.Error("a caller changed what others get")
	}
}
