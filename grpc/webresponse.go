package commgrpc

import (
	"context"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxRefusal is how many bytes are kept of the text with which the gRPC server refuses a request.
const maxRefusal = 1 << 10

// webWriter is the ResponseWriter that the gRPC server writes a response to: it makes gRPC-Web of it. All
// methods are called by the goroutine that serves the request.
type webWriter struct {
	w       http.ResponseWriter
	kind    webKind
	text    *textWriter        // nil in binary
	cancel  context.CancelFunc // ends the call when its client cannot be written to
	streams bool               // each message leaves at once
	leaving replyDeadline

	header  http.Header // what the server sets: headers, and trailers after them
	begun   bool        // the headers have left
	refusal struct {
		code int // HTTP status of the server, which serves no call
		text strings.Builder
	}
}

func newWebWriter(w http.ResponseWriter, kind webKind, limit time.Duration, cancel context.CancelFunc) *webWriter {
	ww := &webWriter{
		w: w, kind: kind, cancel: cancel, header: make(http.Header),
		leaving: replyDeadline{rc: http.NewResponseController(w), limit: limit},
	}
	if kind.text {
		ww.text = &textWriter{w: (*webBytes)(ww)}
	}
	return ww
}

// Header is where the gRPC server sets headers, and trailers once they have left.
func (w *webWriter) Header() http.Header { return w.header }

// WriteHeader is called by the server when a handler sends its headers, and where it refuses a request.
func (w *webWriter) WriteHeader(code int) {
	if code == http.StatusOK {
		w.begin()
	} else {
		w.refusal.code = code
	}
}

// Write writes a part of a message.
func (w *webWriter) Write(p []byte) (n int, err error) {
	if w.refusal.code != 0 {
		w.refusal.text.Write(p[:min(len(p), maxRefusal-w.refusal.text.Len())])
		return len(p), nil
	}
	w.begin()
	if w.text != nil {
		n, err = w.text.Write(p)
	} else {
		n, err = (*webBytes)(w).Write(p)
	}
	if err != nil {
		w.cancel()
	}
	return n, err
}

// Flush ends a message. The server also calls it before the trailers; headers without a message wait for
// these, because with them they may be all of the response.
func (w *webWriter) Flush() {
	if !w.begun {
		return
	}
	if w.text != nil && w.text.pad() != nil {
		w.cancel()
	}
	if w.streams {
		w.flush()
	}
}

func (w *webWriter) flush() {
	w.leaving.arm(0)
	if w.leaving.rc.Flush() != nil {
		w.cancel()
	}
}

// webBytes is what writes to the client: pieces, each of which must leave in time.
type webBytes webWriter

// Write writes p.
func (b *webBytes) Write(p []byte) (int, error) { return writePieces(b.w.Write, b.leaving.arm, p) }

// hopHeaders are of the connection, and no metadata may set them.
var hopHeaders = []string{"Connection", "Content-Length", "Content-Type", "Date", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// begin sends the headers.
func (w *webWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	h := w.w.Header()
	var custom []string
	for name, values := range w.header {
		if slices.Contains(hopHeaders, textproto.CanonicalMIMEHeaderKey(name)) || !httpguts.ValidHeaderFieldName(name) {
			continue
		}
		h[name] = values
		if lower := strings.ToLower(name); !slices.Contains(exposeAlways, lower) {
			custom = append(custom, lower)
		}
	}
	h.Set("Content-Type", w.kind.media())
	expose(h, custom)
	w.w.WriteHeader(http.StatusOK)
	clear(w.header) // from here on they are trailers
}

// refuse makes a status the whole response.
func (w *webWriter) refuse(st *status.Status) { setStatus(w.header, st) }

// finish ends the response once the server has returned: by the trailers as the last frame, or as headers
// where a failed call has sent nothing else (Trailers-Only).
func (w *webWriter) finish() {
	if w.refusal.code != 0 { // a request that is none: the server has no status for it
		clear(w.header)
		w.refuse(status.New(codes.Internal, strings.TrimSpace(w.refusal.text.String())))
	}
	trailers := takeTrailers(w.header)
	if trailers.Get(headerStatus) == "" { // the server was stopped, or the client has gone
		setStatus(trailers, status.New(codes.Unavailable, "the server has ended the call"))
	}
	if !w.begun && trailers.Get(headerStatus) != "0" {
		for name, values := range trailers {
			w.header[name] = append(w.header[name], values...)
		}
		w.begin()
		return
	}
	if _, err := w.Write(appendTrailers(nil, trailers)); err == nil {
		w.Flush()
	}
}
