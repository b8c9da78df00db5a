// Package retryafter reads the header with which a server says when to come again.
package retryafter

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Most bounds what a server, or whatever answers in its place, can make a client wait.
const Most = 10 * time.Minute

// Of returns the wait that Retry-After asks for, in seconds or by a date (RFC 9110, 10.2.3). It is 0 without the
// header, for a date that has passed, and for what is neither; a number too large for any clock is 68 years.
func Of(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 31); err == nil || errors.Is(err, strconv.ErrRange) { // then n is the largest
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(time.Until(t), 0)
	}
	return 0
}
