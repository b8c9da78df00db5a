package commhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
)

// Problem is a problem document (RFC 9457): what went wrong, for programs. Every
// refusal of this package is one.
type Problem struct {
	Type     string         // a URI that identifies the kind; "" is about:blank, where Title is the status text
	Title    string         // the kind in words; "" is the status text
	Status   int            // the HTTP status; 0 is 500
	Detail   string         // this occurrence, for people; "" is omitted
	Instance string         // a URI of this occurrence; "" is omitted
	Fields   map[string]any // further members; those named above cannot be overridden
}

// MarshalJSON writes the members of RFC 9457 section 3.1, and Fields beside them.
func (p Problem) MarshalJSON() ([]byte, error) {
	members := make(map[string]any, len(p.Fields)+5)
	maps.Copy(members, p.Fields)
	for name, value := range map[string]string{"type": p.Type, "title": p.title(), "detail": p.Detail, "instance": p.Instance} {
		delete(members, name)
		if value != "" {
			members[name] = value
		}
	}
	members["status"] = p.status()
	return json.Marshal(members)
}

func (p Problem) status() int {
	if p.Status == 0 {
		return http.StatusInternalServerError
	}
	return p.Status
}

func (p Problem) title() string {
	if p.Title == "" {
		return http.StatusText(p.status())
	}
	return p.Title
}

// Error is the problem in one line, so that a Problem can travel as an error to
// [RefuseError].
func (p Problem) Error() string {
	if p.Detail == "" {
		return p.title()
	}
	return p.title() + ": " + p.Detail
}

// Write answers r with the problem, as application/problem+json and not to be cached.
// Headers that described another body are removed. If the request has an id, it is
// the member request_id. Nothing is written if Fields cannot be encoded; the error
// says why.
func (p Problem) Write(w http.ResponseWriter, r *http.Request) error {
	if id := RequestIDFrom(r.Context()); id != "" {
		fields := maps.Clone(p.Fields)
		if fields == nil {
			fields = make(map[string]any, 1)
		}
		fields["request_id"] = id
		p.Fields = fields
	}
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("commhttp: problem document: %w", err)
	}
	h := w.Header()
	for _, name := range [...]string{"Content-Length", "Content-Encoding", "Content-Disposition", "Content-Range", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.status())
	_, err = w.Write(append(body, '\n'))
	return err
}

// Refuse answers r with a problem of the given status and detail; see [Problem.Write].
func Refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	// A client that does not take the answer has left; there is nobody to tell.
	_ = Problem{Status: status, Detail: detail}.Write(w, r)
}

// RefuseError answers r with the problem that err is about: a [Problem] itself; 413
// for [*http.MaxBytesError]; 408 for a body that did not come in time; 503 for an
// ended context deadline; else 500 with nothing of err in it, which belongs in a log
// and not to the client.
func RefuseError(w http.ResponseWriter, r *http.Request, err error) {
	problem, ok := errors.AsType[Problem](err)
	if !ok {
		problem = problemOf(err)
	}
	if problem.Write(w, r) != nil && ok {
		Refuse(w, r, http.StatusInternalServerError, "")
	}
}

func problemOf(err error) Problem {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLargeProblem(tooLarge.Limit)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Problem{Status: http.StatusServiceUnavailable, Detail: "the request took too long to handle"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Problem{Status: http.StatusRequestTimeout, Detail: "the request body took too long to arrive"}
	}
	return Problem{Status: http.StatusInternalServerError}
}

func tooLargeProblem(limit int64) Problem {
	return Problem{
		Status: http.StatusRequestEntityTooLarge,
		Detail: fmt.Sprintf("the request body is larger than the %d bytes allowed", limit),
		Fields: map[string]any{"limit": limit},
	}
}
