package graphql

import (
	"net/http"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// The RFC "Incremental Delivery over HTTP" of the GraphQL-over-HTTP working group: each response of an
// operation is a part of a body of type multipart/mixed.

const mediaParts = "multipart/mixed"

// formats are the parameters by which clients name the format of incremental delivery that they read, as they
// are told in return. A client that names none gets the one of graphql-js 17, by ids.
var formats = map[string]string{
	"incrementalspec=v0.2":            "incrementalSpec=v0.2",
	"incrementaldeliveryspec=3283f8a": "incrementalDeliverySpec=3283f8a",
	"deferspec=20220824":              formatByPath,
}

const formatByPath = "deferSpec=20220824"

// acceptedParts reports whether the Accept headers allow multipart/mixed in a format that is served, and
// which parameter names the format to that client.
func acceptedParts(headers []string) (format string, ok bool) {
	for m := range mediaRanges(headers) {
		if m.typ != mediaParts || m.q <= 0 {
			continue
		}
		format, fits := "", true
		for name, value := range m.params {
			known := formats[name+"="+value]
			switch {
			case known != "":
				format = known
			case strings.HasSuffix(name, "spec"):
				fits = false
			}
		}
		if fits {
			return format, true
		}
	}
	return "", false
}

// multipart is how a client takes the responses of one operation.
type multipart struct {
	format string
	alone  bool // it accepts nothing else
}

const (
	beginPart = "\r\nContent-Type: application/json; charset=utf-8\r\n\r\n"
	boundary  = "\r\n---" // of "-", which all clients know
	lastPart  = "--\r\n"
)

// inParts answers with the responses of a stream. The boundary behind a part is sent with it, so that the client
// needs not wait for the next to know where it ends.
func (x *exchange) inParts(st *Stream) {
	defer st.Close()
	comm.MarkStreaming(x.r.Context())
	rc := http.NewResponseController(x.w)
	var buf []byte
	begun := false
	for body, out := range st.Responses() {
		if !begun && !out.HasNext && !x.parts.alone {
			x.answer(x.status(&out), body)
			return
		}
		buf = buf[:0]
		if !begun {
			begun = true
			x.beginParts(x.status(&out))
			buf = append(buf, boundary...)
		}
		buf = append(append(append(buf, beginPart...), body...), boundary...)
		if !out.HasNext {
			buf = append(buf, lastPart...)
		}
		_ = rc.SetWriteDeadline(time.Now().Add(x.writeTimeout)) // where it cannot be set the server's own holds
		if _, err := x.w.Write(buf); err != nil {
			return
		}
		if rc.Flush() != nil {
			return
		}
	}
}

func (x *exchange) beginParts(status int) {
	h := x.w.Header()
	media := mediaParts + `; boundary="-"`
	if x.parts.format != "" {
		media += "; " + x.parts.format
	}
	h.Set("Content-Type", media)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // proxies of nginx would hold the parts back
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	x.w.WriteHeader(status)
}
