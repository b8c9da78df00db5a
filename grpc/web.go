package commgrpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
)

// The media types of gRPC-Web (PROTOCOL-WEB, Content-Type). Each may have +proto after it, or another codec.
const (
	webType     = "application/grpc-web"
	webTextType = "application/grpc-web-text"
)

// webKind is one of the two forms of gRPC-Web.
type webKind struct {
	text  bool   // all bytes of a body as base64
	codec string // of the messages
}

// media is the content type of a response.
func (k webKind) media() string {
	if k.text {
		return webTextType + "+" + k.codec
	}
	return webType + "+" + k.codec
}

// webKindOf reads the content type of a request; ok is false for what is not gRPC-Web, or in a codec that is not
// registered.
func webKindOf(media string) (k webKind, ok bool) {
	media, _, _ = strings.Cut(media, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	rest, ok := strings.CutPrefix(media, webTextType)
	if k.text = ok; !ok {
		if rest, ok = strings.CutPrefix(media, webType); !ok {
			return webKind{}, false
		}
	}
	if k.text && rest == "-base64" { // the other name that the protocol gives it
		rest = ""
	}
	if rest == "" {
		k.codec = proto.Name
		return k, true
	}
	k.codec, ok = strings.CutPrefix(rest, "+")
	return k, ok && codecNamed(k.codec) != nil
}

// answerTo is the form of the response: what the Accept header names, else that of the request.
func (k webKind) answerTo(r *http.Request) webKind {
	named := k
	for part := range strings.SplitSeq(strings.Join(r.Header["Accept"], ","), ",") {
		accepted, ok := webKindOf(part)
		if !ok || accepted.codec != k.codec {
			continue
		}
		if accepted.text == k.text {
			return k
		}
		named.text = accepted.text
	}
	return named
}

// serveWeb answers a gRPC-Web request. The message is read whole before the gRPC server hears of it, so that
// whatever is wrong with it has one answer, and no handler waits for a client's bytes.
func (m *mixed) serveWeb(w http.ResponseWriter, r *http.Request, kind webKind) {
	answer := kind.answerTo(r)
	if err := m.origins.Allow(w, r); err != nil {
		leaveBody(w, r)
		refusePage(w, answer.media(), err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ww := newWebWriter(w, answer, m.opts.writeTimeout, cancel)
	defer ww.finish()
	info, registered := m.method(r)
	if registered && info.IsClientStream {
		leaveBody(w, r)
		ww.refuse(status.Newf(codes.Unimplemented, "%s takes a stream of messages, which gRPC-Web cannot send", r.URL.Path))
		return
	}
	frame, st := m.readWeb(w, r, kind)
	if st != nil {
		leaveBody(w, r)
		ww.refuse(st)
		return
	}
	if info.IsServerStream {
		comm.MarkStreaming(r.Context())
		ww.streams = true
	}
	m.native.ServeHTTP(ww, asNative(r.WithContext(ctx), kind, frame))
}

// asNative is the request as a client of gRPC over HTTP/2 would have sent it.
func asNative(r *http.Request, kind webKind, frame []byte) *http.Request {
	r.Header = r.Header.Clone()
	r.Header.Set("Content-Type", contentType+"+"+kind.codec)
	r.Header.Set("Te", "trailers")
	for _, name := range []string{"Content-Length", "Connection", "Transfer-Encoding"} { // of the hop, not of the call
		r.Header.Del(name)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(frame)), int64(len(frame))
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	return r
}

// leaveBody has the answer to a bad request leave at once: net/http reads what is left of a body first,
// unless the connection ends with the answer.
func leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// refusePage answers a request of a page that the origin policy does not allow.
func refusePage(w http.ResponseWriter, media string, err error) {
	h := w.Header()
	h.Set("Content-Type", media)
	setStatus(h, status.New(codes.PermissionDenied, err.Error()))
	w.WriteHeader(http.StatusForbidden)
}

// exposeAlways are the headers of a response that every page may read.
var exposeAlways = []string{"grpc-status", "grpc-message", "grpc-status-details-bin"}

// expose names the headers that a page may read: its browser hides all others (Fetch standard, 3.2.3).
func expose(h http.Header, custom []string) {
	if h.Get("Access-Control-Allow-Origin") == "" {
		return
	}
	slices.Sort(custom)
	h.Set("Access-Control-Expose-Headers", strings.Join(slices.Concat(exposeAlways, custom), ", "))
}

// preflight answers what a browser asks before the request of a page.
func (m *mixed) preflight(w http.ResponseWriter, r *http.Request) {
	if err := m.origins.Allow(w, r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	m.origins.Preflight(w, r)
}

// statusOf is what an error of reading a request is told as.
func statusOf(err error) *status.Status {
	if fe, ok := errors.AsType[*webError](err); ok {
		return status.New(fe.code, fe.Error())
	}
	return status.Newf(codes.Internal, "reading the request: %v", err)
}
