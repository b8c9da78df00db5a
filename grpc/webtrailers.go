package commgrpc

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"google.golang.org/grpc/status"
)

// The trailers that end a call (gRPC over HTTP2, Trailers).
const (
	headerStatus  = "Grpc-Status"
	headerMessage = "Grpc-Message"
	headerDetails = "Grpc-Status-Details-Bin"
)

// setStatus writes a status as the gRPC server does.
func setStatus(h http.Header, st *status.Status) {
	h.Set(headerStatus, strconv.Itoa(int(st.Code())))
	if text := st.Message(); text != "" {
		h.Set(headerMessage, percentEncoded(text))
	}
}

// percentEncoded is a message as a header's value (gRPC over HTTP2, Percent-Encoded).
func percentEncoded(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// takeTrailers moves the trailers out of what the gRPC server has set. It marks those of the handler by
// net/http's prefix. Names that are none are left out.
func takeTrailers(h http.Header) http.Header {
	trailers := make(http.Header)
	for name, values := range h {
		plain, marked := strings.CutPrefix(name, http.TrailerPrefix)
		switch {
		case marked && httpguts.ValidHeaderFieldName(plain):
			plain = textproto.CanonicalMIMEHeaderKey(plain)
			trailers[plain] = append(trailers[plain], values...)
		case marked:
		case name == headerStatus, name == headerMessage, name == headerDetails:
			trailers[name] = values
		default:
			continue
		}
		delete(h, name)
	}
	return trailers
}

// appendTrailers appends the last frame of a response: trailers with names in lower case, sorted
// (PROTOCOL-WEB, Message framing). Binary ones are base64 in both forms of gRPC-Web: that the text form should
// leave it out is what no client reads.
func appendTrailers(dst []byte, trailers http.Header) []byte {
	start := len(dst)
	dst = append(dst, flagTrailers, 0, 0, 0, 0)
	for _, name := range slices.Sorted(maps.Keys(trailers)) {
		for _, v := range trailers[name] {
			dst = append(dst, strings.ToLower(name)...)
			dst = append(dst, ": "...)
			dst = append(dst, lineBreaks.Replace(v)...)
			dst = append(dst, "\r\n"...)
		}
	}
	binary.BigEndian.PutUint32(dst[start+frameHead-4:], uint32(len(dst)-start-frameHead))
	return dst
}

// lineBreaks would end a trailer within its value.
var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ")
