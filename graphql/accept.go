package graphql

import (
	"iter"
	"mime"
	"strconv"
	"strings"

	"github.com/anasamu/comm/sse"
)

// mediaRange is one of what an Accept header names.
type mediaRange struct {
	typ    string
	params map[string]string
	q      float64
}

// mediaRanges yields what the Accept headers name (RFC 9110 12.5.1), in their order. What cannot be read is
// left out.
func mediaRanges(headers []string) iter.Seq[mediaRange] {
	return func(yield func(mediaRange) bool) {
		for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
			typ, params, err := mime.ParseMediaType(part)
			q := 1.0
			if s, given := params["q"]; given && err == nil {
				q, err = strconv.ParseFloat(s, 64)
			}
			if err == nil && !yield(mediaRange{typ, params, q}) {
				return
			}
		}
	}
}

// accepted chooses the media type of the answer from the Accept headers. Without one, and for wildcards, it is
// application/json, which every client reads. Of those that a client wants equally, the one it names first is
// taken.
func accepted(headers []string) (media string, ok bool) {
	if strings.TrimSpace(strings.Join(headers, "")) == "" {
		return mediaJSON, true
	}
	best := 0.0
	for m := range mediaRanges(headers) {
		if charset := strings.ToLower(m.params["charset"]); charset != "" && charset != "utf-8" && charset != "utf8" {
			continue
		}
		switch m.typ {
		case mediaResponse, mediaJSON:
		case "*/*", "application/*":
			m.typ = mediaJSON
		default:
			continue
		}
		if m.q > best {
			media, best = m.typ, m.q
		}
	}
	return media, best > 0
}

// prefersStream reports whether the Accept headers want an event stream more than any other answer, or as much
// and name it first.
func prefersStream(headers []string) bool {
	best, stream := 0.0, false
	for m := range mediaRanges(headers) {
		if m.q > best {
			best, stream = m.q, m.typ == sse.ContentType
		}
	}
	return stream
}
