package commhttp

import "net/http"

// Middleware wraps a handler. It is an alias, so that any func of this shape from
// anywhere is one.
type Middleware = func(http.Handler) http.Handler

// Chain wraps h in middleware: the first is the outermost, and sees a request first
// and its response last. Nil entries are skipped, so that optional ones can be listed
// in place.
func Chain(h http.Handler, middleware ...Middleware) http.Handler {
	for i := len(middleware) - 1; i >= 0; i-- {
		if middleware[i] != nil {
			h = middleware[i](h)
		}
	}
	return h
}

// serve calls next with r, which may be a copy of orig: what a ServeMux notes in the
// copy is handed back, for middleware outside of ours.
func serve(next http.Handler, w http.ResponseWriter, r, orig *http.Request) {
	next.ServeHTTP(w, r)
	if r != orig && orig.Pattern == "" {
		orig.Pattern = r.Pattern
	}
}
