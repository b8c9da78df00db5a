package commhttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// PatternError is a route that cannot be registered.
type PatternError struct {
	Pattern   string // the one refused
	Conflicts string // the registered one that it conflicts with; "" if it is bad by itself
	Reason    string // what net/http says about it
}

// Error names the pattern, what it conflicts with, and why.
func (e *PatternError) Error() string {
	if e.Conflicts != "" {
		return fmt.Sprintf("commhttp: route %q conflicts with %q: %s", e.Pattern, e.Conflicts, e.Reason)
	}
	return fmt.Sprintf("commhttp: route %q: %s", e.Pattern, e.Reason)
}

// Routes is an [http.ServeMux] on which a bad or conflicting pattern is an error and
// not a panic, and which answers 404 and 405 with a problem document. Handlers have
// [http.Request.PathValue] and [http.Request.Pattern], which is also the label in
// [Result]. The zero value is ready; all methods may be called concurrently, also
// while serving.
type Routes struct {
	mu       sync.Mutex // held by Handle; also guards patterns
	mux      http.ServeMux
	patterns []string
}

// Handle registers h for pattern, in ServeMux's syntax. The error is a [*PatternError].
func (rt *Routes) Handle(pattern string, h http.Handler) error {
	if f, ok := h.(http.HandlerFunc); h == nil || ok && f == nil {
		return &PatternError{Pattern: pattern, Reason: "the handler is nil"}
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if err := register(&rt.mux, pattern, &route{pattern, h}); err != nil {
		return rt.explain(pattern, err)
	}
	rt.patterns = append(rt.patterns, pattern)
	return nil
}

// HandleFunc is Handle for a func.
func (rt *Routes) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) error {
	return rt.Handle(pattern, http.HandlerFunc(f))
}

// Patterns returns the registered patterns in the order of their registration.
func (rt *Routes) Patterns() []string {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return slices.Clone(rt.patterns)
}

// ServeHTTP serves the route that matches, or answers 404, 405 or a redirect as ServeMux
// would.
func (rt *Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rt.mux.ServeHTTP(&unrouted{w, r, false}, r)
}

// register turns the mux's panic into an error.
func register(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New(fmt.Sprint(v))
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// explain finds out which pattern is conflicted with by trying them one at a time:
// the mux only says so in a text meant for people.
func (rt *Routes) explain(pattern string, cause error) error {
	refused := &PatternError{Pattern: pattern, Reason: strings.TrimPrefix(cause.Error(), "http: ")}
	for _, other := range rt.patterns {
		var alone http.ServeMux
		if register(&alone, other, http.NotFoundHandler()) != nil {
			continue
		}
		if register(&alone, pattern, http.NotFoundHandler()) != nil {
			refused.Conflicts = other
			refused.Reason = lastLine(refused.Reason)
			break
		}
	}
	if refused.Conflicts == "" {
		return refused
	}
	var alone http.ServeMux
	if register(&alone, pattern, http.NotFoundHandler()) != nil {
		refused.Conflicts = "" // bad by itself, then
	}
	return refused
}

// lastLine drops the mux's first line, which names source files.
func lastLine(s string) string {
	_, rest, ok := strings.Cut(s, "\n")
	if !ok {
		return s
	}
	return strings.Join(strings.Fields(rest), " ")
}

// route notes its pattern for the log before it serves.
type route struct {
	pattern string
	h       http.Handler
}

func (rt *route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if u, ok := w.(*unrouted); ok {
		w = u.ResponseWriter
	}
	if in := infoOf(r.Context()); in != nil {
		in.pattern.Store(&rt.pattern)
	}
	rt.h.ServeHTTP(w, r)
}

// unrouted is the writer that the mux answers on itself, when no route matches: its
// plain-text refusals become problem documents, its redirects pass.
type unrouted struct {
	http.ResponseWriter
	r       *http.Request
	refused bool
}

func (u *unrouted) WriteHeader(status int) {
	if u.refused {
		return
	}
	detail := ""
	switch status {
	case http.StatusNotFound:
		detail = "there is nothing at this path"
	case http.StatusMethodNotAllowed:
		detail = "this path has " + u.Header().Get("Allow")
	case http.StatusBadRequest:
	default:
		u.ResponseWriter.WriteHeader(status)
		return
	}
	u.refused = true
	Refuse(u.ResponseWriter, u.r, status, detail)
}

func (u *unrouted) Write(p []byte) (int, error) {
	if u.refused {
		return len(p), nil
	}
	return u.ResponseWriter.Write(p)
}
