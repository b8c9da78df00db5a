package commhttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// BodyLimit bounds a request's body to limit bytes, at least 1. One that announces
// more is answered 413 before the handler; one that turns out longer fails to be read
// with [*http.MaxBytesError], for which [RefuseError] answers 413, as does BodyLimit
// itself if the handler writes nothing.
func BodyLimit(limit int64) (Middleware, error) {
	if limit < 1 {
		return nil, fmt.Errorf("commhttp: body limit of %d bytes: must be at least 1", limit)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, orig *http.Request) {
			if !hasBody(orig) {
				next.ServeHTTP(w, orig)
				return
			}
			x, w, r := enter(w, orig)
			if r.ContentLength > limit {
				// What follows is not worth reading only to keep the connection.
				w.Header().Set("Connection", "close")
				_ = tooLargeProblem(limit).Write(w, r)
				return
			}
			body := &limitedBody{ReadCloser: http.MaxBytesReader(base(w), r.Body, limit)}
			serve(next, w, withBody(r, orig, body), orig)
			if body.exceeded.Load() && !x.written() {
				_ = tooLargeProblem(limit).Write(w, r)
			}
		})
	}, nil
}

// base is the server's own writer, by which MaxBytesReader has the connection closed
// after the answer.
func base(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

// limitedBody remembers that the limit was met. The flag is atomic because a handler
// that timed out may still be reading.
type limitedBody struct {
	io.ReadCloser
	exceeded atomic.Bool
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			b.exceeded.Store(true)
		}
	}
	return n, err
}
