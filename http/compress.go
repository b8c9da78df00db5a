package commhttp

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Defaults of Compression, and its limit.
const (
	DefaultCompressionMinSize = 1 << 10
	DefaultCompressionLevel   = 5

	// MaxCompressing is how many responses may be in compression at once, at about
	// 1 MB each; those past it are sent plain.
	MaxCompressing = 256

	// maxHeld bounds what is held back of a response to know its size.
	maxHeld = 1 << 20
)

// compressible are the types worth compressing.
var compressible = []string{
	"text/*", "*+json", "*+xml",
	"application/json", "application/javascript", "application/ecmascript", "application/x-javascript",
	"application/xml", "application/wasm", "application/x-ndjson", "application/yaml", "application/graphql",
	"font/ttf", "font/otf", "application/vnd.ms-fontobject", "image/bmp", "image/x-icon",
}

// Compression says what [Compress] compresses; the zero value is the defaults.
type Compression struct {
	MinSize ByteSize `json:"min_size" min:"0" max:"1MiB"` // the smallest body in bytes; 0 is 1 KiB
	Level   int      `json:"level" min:"0" max:"9"`       // 1 (fastest) to 9 (smallest); 0 is 5
	Types   []string `json:"types"`                       // media types: "text/html", "text/*" or "*+json"; none is the usual textual ones
}

func (c Compression) check() error {
	var errs []error
	if c.MinSize < 0 || c.MinSize > maxHeld {
		errs = append(errs, fmt.Errorf("commhttp: compression from %d bytes: must be 0 to %d", c.MinSize, maxHeld))
	}
	if c.Level < 0 || c.Level > gzip.BestCompression {
		errs = append(errs, fmt.Errorf("commhttp: compression level %d: must be 1 to 9, or 0 for the default", c.Level))
	}
	for _, t := range c.Types {
		kind, sub, ok := strings.Cut(t, "/")
		if suffix, isSuffix := strings.CutPrefix(t, "*+"); isSuffix {
			kind, sub, ok = suffix, "*", true
		}
		if !ok || !isToken(kind) || !isToken(sub) {
			errs = append(errs, fmt.Errorf(`commhttp: compression type %q: must be like "text/html", "text/*" or "*+json"`, t))
		}
	}
	return errors.Join(errs...)
}

// Compress compresses responses with gzip for clients that accept it (RFC 9110
// 12.5.3). It leaves alone what is smaller than MinSize (which it holds back to
// know), of another type, already encoded, marked no-transform, an event stream, a
// part, or an answer to HEAD, to Range, to an Upgrade or to CONNECT. Compressed responses have a
// weak ETag, and all that could be have Vary: Accept-Encoding. Flushing works; the
// first flush ends the holding back.
//
// Where a body holds a secret beside text that the requester chose, compression gives
// the secret away by its length (BREACH): set Content-Encoding: identity, or
// Cache-Control: no-transform, on such answers.
func Compress(c Compression) (Middleware, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	cc := newCompressor(c)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, orig *http.Request) {
			x, w, r := enter(w, orig)
			if x.enc != nil || r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect {
				serve(next, w, r, orig)
				return
			}
			x.enc = cc.encoder(r)
			returned := false
			defer func() { x.enc.finish(x, returned) }()
			serve(next, w, r, orig)
			returned = true
		})
	}, nil
}

// compressor is what all encoders of one middleware share.
type compressor struct {
	minSize, level int
	types          []string
	active         atomic.Int64
	writers, bufs  sync.Pool
}

func newCompressor(c Compression) *compressor {
	cc := &compressor{
		minSize: int(cmp.Or(c.MinSize, DefaultCompressionMinSize)),
		level:   cmp.Or(c.Level, DefaultCompressionLevel),
		types:   c.Types,
	}
	if len(cc.types) == 0 {
		cc.types = compressible
	}
	return cc
}

func (cc *compressor) encoder(r *http.Request) *encoder {
	e := &encoder{cc: cc}
	if r.Method != http.MethodHead && r.Header.Get("Range") == "" {
		e.coding = negotiate(r.Header["Accept-Encoding"])
	}
	return e
}

// acquire returns a gzip writer, or nil if there are as many as may be.
func (cc *compressor) acquire() *gzip.Writer {
	if cc.active.Add(1) > MaxCompressing {
		cc.active.Add(-1)
		return nil
	}
	if gz, ok := cc.writers.Get().(*gzip.Writer); ok {
		return gz
	}
	gz, _ := gzip.NewWriterLevel(io.Discard, cc.level) // the level has been checked
	return gz
}

func (cc *compressor) release(gz *gzip.Writer) {
	gz.Reset(io.Discard) // lets go of the response
	cc.writers.Put(gz)
	cc.active.Add(-1)
}

func (cc *compressor) eligible(contentType string) bool {
	mt := strings.ToLower(mediaType(contentType))
	if mt == "" || isEventStream(mt) {
		return false
	}
	return slices.ContainsFunc(cc.types, func(pattern string) bool {
		if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
			return strings.HasSuffix(mt, suffix)
		}
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(mt, prefix)
		}
		return mt == pattern
	})
}
