package commhttp

import (
	"net/http"
	"strings"
)

// Stream marks h as answering with a stream: long-lived, or as slow as its source.
// [Deadlines] and [Timeout] do not apply to it. Responses that are hijacked or have
// Content-Type text/event-stream need no mark.
func Stream(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if in := infoOf(r.Context()); in != nil {
			in.stream()
		}
		h.ServeHTTP(w, r)
	})
}

func isStream(status int, h http.Header) bool {
	return status == http.StatusSwitchingProtocols || isEventStream(h.Get("Content-Type"))
}

func isEventStream(contentType string) bool {
	return strings.EqualFold(mediaType(contentType), "text/event-stream")
}

// mediaType is contentType without its parameters.
func mediaType(contentType string) string {
	mt, _, _ := strings.Cut(contentType, ";")
	return strings.TrimSpace(mt)
}
