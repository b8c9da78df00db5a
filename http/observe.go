package commhttp

import (
	"net/http"
	"net/netip"
	"time"
)

// Result is what became of a request.
type Result struct {
	Pattern   string        // of the route, the label for logs and metrics; "" if none matched
	Status    int           // 0 if the connection ended without one, or was hijacked other than for an upgrade
	Bytes     int64         // of the body, as sent; those of a hijacked connection are not seen
	Start     time.Time     // when the request came
	FirstByte time.Duration // from Start to the header; 0 if there was none
	Duration  time.Duration // from Start to the end of the response, or of the hijacked connection
	RequestID string        // "" without RequestID
	Client    netip.Addr    // see ClientAddr
	Hijacked  bool
	Aborted   bool // the handler panicked: the client may have an incomplete answer
}

// Observe calls f once for each request when all of its response has been handed to
// the server: after the handler, or when the connection that it hijacked is closed. f
// runs on the goroutine that ended it, and must not keep r.
func Observe(f func(r *http.Request, result Result)) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, orig *http.Request) {
			start := time.Now()
			x, w, r := enter(w, orig)
			x.ending.observed = true
			aborted := true
			defer func() {
				if x.conn == nil {
					f(r, x.result(r, start, aborted))
					return
				}
				x.ending.then(func() { f(r, x.result(r, start, aborted)) })
			}()
			serve(next, w, r, orig)
			aborted = false
		})
	}
}

func (x *exchange) result(r *http.Request, start time.Time, aborted bool) Result {
	res := Result{
		Pattern: r.Pattern, Status: x.status, Bytes: x.bytes, Start: start, Duration: time.Since(start),
		RequestID: x.info.id, Client: ClientAddr(r), Hijacked: x.conn != nil, Aborted: aborted,
	}
	if p := x.info.pattern.Load(); p != nil {
		res.Pattern = *p
	}
	if !x.first.IsZero() {
		res.FirstByte = x.first.Sub(start)
	}
	switch {
	case res.Status != 0:
	case !res.Hijacked && !aborted:
		res.Status = http.StatusOK // net/http's answer for a handler that gave none
	case res.Hijacked && r.Header.Get("Upgrade") != "":
		res.Status = http.StatusSwitchingProtocols
	}
	return res
}
