package commjs

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

//go:embed comm.js
var source []byte

//go:embed comm.d.ts
var types []byte

//go:embed comm.wt.js
var wtSource []byte

//go:embed comm.wt.d.ts
var wtTypes []byte

// Source returns a copy of comm.js.
func Source() []byte { return bytes.Clone(source) }

// Types returns a copy of comm.d.ts.
func Types() []byte { return bytes.Clone(types) }

// WebTransportSource returns a copy of comm.wt.js, which adds WebTransport to comm.js.
func WebTransportSource() []byte { return bytes.Clone(wtSource) }

// WebTransportTypes returns a copy of comm.wt.d.ts.
func WebTransportTypes() []byte { return bytes.Clone(wtTypes) }

// Handler serves /comm.js, /comm.wt.js and their types (.d.ts) to GET and HEAD; other paths are 404, other methods 405.
// An answer carries a strong ETag of its bytes and Cache-Control: no-cache, so that a browser keeps
// the module and asks once a load whether it changed (304, RFC 9110 15.4.5). The module may be
// imported from any origin: it is public and says nothing of who asks.
//
// The handler is safe for concurrent use.
func Handler() http.Handler {
	const script = "text/javascript; charset=utf-8" // RFC 9239
	const plain = "text/plain; charset=utf-8"       // no type is registered for TypeScript
	assets := map[string]asset{
		"/comm.js": newAsset(script, source), "/comm.d.ts": newAsset(plain, types),
		"/comm.wt.js": newAsset(script, wtSource), "/comm.wt.d.ts": newAsset(plain, wtTypes),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, ok := assets[r.URL.Path]; ok {
			a.serve(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

// asset is one file with what its answers say.
type asset struct {
	contentType string
	etag        string
	body        string
}

func newAsset(contentType string, body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{contentType, `"` + hex.EncodeToString(sum[:16]) + `"`, string(body)}
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method "+r.Method+": allowed are GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(a.body)) // conditions, ranges, HEAD
}
