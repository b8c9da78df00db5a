package graphql

import (
	"mime"
	"strconv"
	"strings"

	"github.com/anasamu/comm/sse"
)

// accepted chooses the media type of the answer from the Accept headers (RFC 9110 12.5.1). Without one, and
// for wildcards, it is application/json, which every client reads. Of those that a client wants equally,
// the one it names first is taken.
func accepted(headers []string) (media string, ok bool) {
	list := strings.Join(headers, ",")
	if strings.TrimSpace(list) == "" {
		return mediaJSON, true
	}
	best := 0.0
	for part := range strings.SplitSeq(list, ",") {
		typ, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if s, given := params["q"]; given {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				continue
			}
		}
		if charset := strings.ToLower(params["charset"]); charset != "" && charset != "utf-8" && charset != "utf8" {
			continue
		}
		switch typ {
		case mediaResponse, mediaJSON:
		case "*/*", "application/*":
			typ = mediaJSON
		default:
			continue
		}
		if q > best {
			media, best = typ, q
		}
	}
	return media, best > 0
}

// prefersStream reports whether the Accept headers want an event stream more than any other answer, or as much
// and name it first.
func prefersStream(headers []string) bool {
	best, stream := 0.0, false
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		typ, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if s, given := params["q"]; given {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				continue
			}
		}
		if q > best {
			best, stream = q, typ == sse.ContentType
		}
	}
	return stream
}
