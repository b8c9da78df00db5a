package commhttp

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"time"

	commjs "github.com/anasamu/comm/js"
)

//go:embed adminpage/index.html adminpage/app.js adminpage/style.css
var pageFiles embed.FS

// pageFile is one file of the page with what its answers say.
type pageFile struct {
	contentType string
	etag        string
	body        []byte
}

func newPageFile(contentType string, body []byte) pageFile {
	sum := sha256.Sum256(body)
	return pageFile{contentType, `"` + hex.EncodeToString(sum[:16]) + `"`, body}
}

func (f pageFile) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// adminPage serves the page's files and the client that it uses, with its types; every other path is 404.
func adminPage() http.Handler {
	const script = "text/javascript; charset=utf-8"
	files := map[string]pageFile{
		"/":           newPageFile("text/html; charset=utf-8", embedded("index.html")),
		"/app.js":     newPageFile(script, embedded("app.js")),
		"/style.css":  newPageFile("text/css; charset=utf-8", embedded("style.css")),
		"/comm.js":    newPageFile(script, commjs.Source()),
		"/comm.d.ts":  newPageFile("text/plain; charset=utf-8", commjs.Types()), // as commjs.Handler serves it
		"/comm.wt.js": newPageFile(script, commjs.WebTransportSource()),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		switch {
		case r.URL.Path == "/favicon.ico": // browsers ask for one by themselves
			w.WriteHeader(http.StatusNoContent)
		case !ok:
			Refuse(w, r, http.StatusNotFound, "there is nothing at this path")
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			Refuse(w, r, http.StatusMethodNotAllowed, "the page can only be read")
		default:
			f.serve(w, r)
		}
	})
}

func embedded(name string) []byte {
	b, _ := pageFiles.ReadFile("adminpage/" + name) // embedded, or the package would not have compiled
	return b
}
