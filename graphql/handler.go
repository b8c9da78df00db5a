package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/jsonscan"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// The media types of the GraphQL-over-HTTP draft.
const (
	mediaResponse = "application/graphql-response+json"
	mediaJSON     = "application/json"
)

// HandlerOption is an option of [NewHandler], and of [New].
type HandlerOption interface {
	Option
	applyHandler(*Handler) error
}

type handlerOption func(*Handler) error

func (o handlerOption) applyHandler(h *Handler) error { return o(h) }
func (o handlerOption) applyProvider(p *Provider)     { p.handlerOpts = append(p.handlerOpts, o) }

// WithMaxBody bounds the body of a request, in bytes; a larger one is answered 413. The default is 1 MiB.
func WithMaxBody(bytes int) HandlerOption {
	return handlerOption(func(h *Handler) error {
		if bytes < 1 {
			return fmt.Errorf("graphql: WithMaxBody(%d): 1 or more is allowed", bytes)
		}
		h.maxBody = bytes
		return nil
	})
}

// WithBatchLimit bounds how many requests one body may hold in an array; 0 refuses arrays. The default
// is 10. They are executed one after the other.
func WithBatchLimit(requests int) HandlerOption {
	return handlerOption(func(h *Handler) error {
		if requests < 0 {
			return fmt.Errorf("graphql: WithBatchLimit(%d): 0 or more is allowed", requests)
		}
		h.batch = requests
		return nil
	})
}

// Handler serves a schema over HTTP as the GraphQL-over-HTTP draft says: queries by GET and POST,
// mutations by POST alone, application/graphql-response+json to clients that accept it and else
// application/json, and in parts to those that accept multipart/mixed, see [WithIncremental]. Only JSON bodies
// are read, and with [WithUploads] forms that have a header of their own, which no other web origin can send
// without being asked; so a page cannot have a visitor's browser change anything. It is safe for concurrent use.
//
// On the same path it serves subscriptions, and every other operation, to those who ask for them: over
// WebSocket by the subprotocols graphql-transport-ws and graphql-ws, and as Server-Sent Events to requests that
// accept text/event-stream, by graphql-sse in both of its modes. See [Subscriber], and [Handler.Shutdown].
type Handler struct {
	s       *Schema
	maxBody int
	batch   int
	uploads *UploadLimits // nil refuses them

	// Of subscribers.
	operations  int
	initTimeout time.Duration // 0 is the hall's
	keepAlive   time.Duration // 0 is the hall's
	perAddress  int           // reserved streams
	reserveFor  time.Duration
	socketOpts  []ws.AcceptOption
	streamOpts  []sse.AcceptOption
	hall        *hall // of the subscribers while the handler stands alone
}

const (
	defaultMaxBody    = 1 << 20
	defaultBatch      = 10
	defaultOperations = 100
)

// NewHandler makes the handler of a schema.
func NewHandler(s *Schema, opts ...HandlerOption) (*Handler, error) {
	h := &Handler{s: s, maxBody: defaultMaxBody, batch: defaultBatch, operations: defaultOperations, perAddress: 10, reserveFor: 30 * time.Second}
	if s == nil {
		return nil, errors.New("graphql: NewHandler: a schema is needed")
	}
	bad := conf.Apply("graphql.NewHandler", opts, func(o HandlerOption) error { return o.applyHandler(h) })
	var err error
	h.hall, err = newHall(h, nil)
	return h, errors.Join(bad, err)
}

// Schema is what the handler serves.
func (h *Handler) Schema() *Schema { return h.s }

// ServeHTTP answers one request. For an event stream it returns when that has ended; a WebSocket outlives it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.hall.serve(w, r) {
		h.hall.serveOnce(w, r)
	}
}

// Shutdown lets no subscriber in any more, has queries and mutations of those who are there answered, sends
// them away to come back elsewhere, and waits until all have gone. [http.Server.Shutdown] does not know
// WebSockets and waits for event streams, so call this before it. The error is the cause of ctx's end. A
// provider does this by itself.
func (h *Handler) Shutdown(ctx context.Context) error { return h.hall.stop(ctx) }

// serveOnce answers a request by one response.
func (l *hall) serveOnce(w http.ResponseWriter, r *http.Request) {
	h := l.h
	x := &exchange{h: h, w: w, r: r, media: mediaJSON, writeTimeout: l.settings.WriteTimeout}
	w.Header().Add("Vary", "Accept")
	media, ok := accepted(r.Header.Values("Accept"))
	if h.s.incremental {
		if format, parts := acceptedParts(r.Header.Values("Accept")); parts {
			x.parts = &multipart{format, !ok}
			ok = true
		}
	}
	switch {
	case !ok:
		x.refuse(http.StatusNotAcceptable, "The answer is "+mediaResponse+" or "+mediaJSON+"; accept one of them.")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		w.Header().Set("Allow", servedMethods)
		x.refuse(http.StatusMethodNotAllowed, "The method "+r.Method+" is not served; use GET or POST.")
		return
	}
	if media != "" {
		x.media = media
	}
	buf, _ := buffers.Get().(*buffer)
	defer buf.release()
	if r.Method == http.MethodGet {
		x.get(buf)
	} else {
		x.post(buf)
	}
}

// buffer is the memory of a request's body and of its response.
type buffer struct{ in, out []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// maxKept bounds what goes back into the pool, so that one large response is not kept for ever.
const maxKept = 256 << 10

func (b *buffer) release() {
	if cap(b.in)+cap(b.out) <= maxKept {
		buffers.Put(b)
	}
}

// exchange is one HTTP request and its answer.
type exchange struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	media string
	parts *multipart // nil for clients that take one response
	files map[string]*Upload

	writeTimeout time.Duration // of each part
}

// context is the request's, with what resolvers can know of it.
func (x *exchange) context() context.Context {
	ctx := x.r.Context()
	if _, ok := ctx.Value(transportKey{}).(*Transport); ok { // the provider has said it
		return ctx
	}
	return WithTransport(ctx, &Transport{Name: "http", Header: x.r.Header, Request: x.r})
}

// get executes the query of a URL.
func (x *exchange) get(buf *buffer) {
	if req, ok := x.query(); ok {
		req.ReadOnly = true
		x.one(buf, req)
	}
}

// query reads the request of a URL; false means that it has been answered.
func (x *exchange) query() (req *Request, ok bool) {
	q := x.r.URL.Query()
	req = &Request{
		Query: q.Get("query"), OperationName: q.Get("operationName"), DocumentID: q.Get("documentId"),
		Variables: json.RawMessage(q.Get("variables")), Extensions: json.RawMessage(q.Get("extensions")),
	}
	for _, p := range []struct {
		name string
		raw  json.RawMessage
	}{{"variables", req.Variables}, {"extensions", req.Extensions}} {
		if len(p.raw) > 0 && !isObject(p.raw) {
			x.refuse(http.StatusBadRequest, "The parameter "+p.name+" must be a JSON object.")
			return nil, false
		}
	}
	return req, true
}

// request reads the one request of a URL or body, which owns its memory; false means that it has been answered.
func (x *exchange) request() (req *Request, ok bool) {
	if x.r.Method == http.MethodGet {
		if req, ok = x.query(); !ok {
			return nil, false
		}
		return req, x.asks(req)
	}
	if status, text := checkContent(x.r.Header); status != 0 {
		x.refuse(status, text)
		return nil, false
	}
	body, ok := x.body(nil)
	if !ok {
		return nil, false
	}
	req, err := ParseRequest(body)
	if err != nil {
		x.refuse(http.StatusBadRequest, messageOf(err))
		return nil, false
	}
	return req, x.asks(req)
}

// asks refuses a request that names no document.
func (x *exchange) asks(req *Request) bool {
	if req.Query == "" && req.DocumentID == "" && len(req.Extensions) == 0 {
		x.refuse(http.StatusBadRequest, "The parameter query is missing.")
		return false
	}
	return true
}

// isObject reports whether raw is a JSON object, or null.
func isObject(raw []byte) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal(raw, &m) == nil
}

// post executes what is in the body.
func (x *exchange) post(buf *buffer) {
	var ok bool
	if x.h.uploads != nil && isForm(x.r.Header) {
		u := &uploading{x: x, limits: x.h.uploads}
		defer u.remove()
		if buf.in, ok = u.read(buf.in[:0]); !ok {
			return
		}
	} else {
		if status, text := checkContent(x.r.Header); status != 0 {
			x.refuse(status, text)
			return
		}
		if buf.in, ok = x.body(buf.in[:0]); !ok {
			return
		}
	}
	switch first := firstByte(buf.in); first {
	case 0:
		x.refuse(http.StatusBadRequest, "The body is empty; a JSON object with the member query is needed.")
	case '[':
		x.many(buf)
	default:
		req, err := ParseRequest(buf.in)
		if err != nil {
			x.refuse(http.StatusBadRequest, messageOf(err))
			return
		}
		x.one(buf, req)
	}
}

func messageOf(err error) string {
	if own, ok := errors.AsType[*Error](err); ok {
		return own.Message
	}
	return err.Error()
}

// firstByte is the first byte that is no white space of JSON, or 0.
func firstByte(b []byte) byte {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

// checkContent refuses bodies that are not JSON in UTF-8.
func checkContent(header http.Header) (status int, text string) {
	media, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	switch charset := strings.ToLower(params["charset"]); {
	case err != nil || media != mediaJSON:
		return http.StatusUnsupportedMediaType, "The Content-Type must be " + mediaJSON + "."
	case charset != "" && charset != "utf-8" && charset != "utf8":
		return http.StatusUnsupportedMediaType, "The charset must be utf-8."
	}
	if e := header.Get("Content-Encoding"); e != "" && e != "identity" {
		return http.StatusUnsupportedMediaType, "The Content-Encoding " + e + " is not read; send the body as it is."
	}
	return 0, ""
}

// body appends the body to b; false means that the request has been answered.
func (x *exchange) body(b []byte) ([]byte, bool) {
	body := http.MaxBytesReader(x.w, x.r.Body, int64(x.h.maxBody))
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, true
		case err == nil:
			continue
		}
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			x.refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", x.h.maxBody))
		} else {
			x.refuse(http.StatusBadRequest, "The body cannot be read.")
		}
		return b, false
	}
}

// one executes one request.
func (x *exchange) one(buf *buffer, req *Request) {
	if !x.asks(req) {
		return
	}
	req.Files = filesOf(x.files, "")
	var out Outcome
	if x.parts == nil {
		buf.out, out = x.h.s.Append(x.context(), buf.out[:0], req)
		x.answer(x.status(&out), buf.out)
		return
	}
	ctx := x.context()
	op, vars, errs := x.h.s.accept(req)
	if errs == nil && op.parts && op.kind != Subscription {
		ctx, cancel := context.WithCancel(ctx)
		x.inParts(&Stream{s: x.h.s, ctx: ctx, cancel: cancel, op: op, vars: vars, byPath: x.parts.format == formatByPath})
		return
	}
	buf.out, out = x.h.s.answer(ctx, buf.out[:0], op, vars, errs)
	if x.parts.alone {
		x.beginParts(x.status(&out))
		_, _ = x.w.Write(slices.Concat([]byte(boundary+beginPart), buf.out, []byte(boundary+lastPart)))
		return
	}
	x.answer(x.status(&out), buf.out)
}

// status is 200 for everything that was executed. What was not is a client's mistake: the older media type
// tells that in the body alone, the newer one by the status too (GraphQL-over-HTTP 6.4).
func (x *exchange) status(out *Outcome) int {
	switch {
	case out.RequestError && out.Code() == CodeReadOnly:
		x.w.Header().Set("Allow", "POST")
		return http.StatusMethodNotAllowed
	case out.RequestError && x.media == mediaResponse:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// many executes an array of requests.
func (x *exchange) many(buf *buffer) {
	reqs, texts, err := x.requests(buf.in)
	switch {
	case x.h.batch == 0:
		x.refuse(http.StatusBadRequest, "This server takes one request at a time, not an array.")
		return
	case err == errTooMany: //nolint:errorlint // ours, never wrapped
		x.refuse(http.StatusBadRequest, fmt.Sprintf("An array holds more than %d requests.", x.h.batch))
		return
	case err != nil:
		x.refuse(http.StatusBadRequest, "The body is not JSON.")
		return
	case len(reqs) == 0:
		x.refuse(http.StatusBadRequest, "The array holds no request.")
		return
	}
	ctx := x.context()
	buf.out = append(buf.out[:0], '[')
	for i, req := range reqs {
		if i > 0 {
			buf.out = append(buf.out, ',')
		}
		if req == nil {
			buf.out = append(appendErrors(append(buf.out, '{'), []*Error{{Message: texts[i]}}), '}')
			continue
		}
		buf.out, _ = x.h.s.Append(ctx, buf.out, req)
	}
	buf.out = append(buf.out, ']')
	x.answer(http.StatusOK, buf.out)
}

var errTooMany = errors.New("graphql: too many requests in an array")

// requests reads an array of requests. One that is none is nil, with what is wrong in texts.
func (x *exchange) requests(body []byte) (reqs []*Request, texts []string, err error) {
	err = jsonscan.Array(body, func(value []byte) error {
		if len(reqs) == x.h.batch {
			return errTooMany
		}
		req, err := ParseRequest(value)
		text := ""
		if err != nil {
			text = messageOf(err)
		}
		if req != nil && x.files != nil {
			req.Files = filesOf(x.files, strconv.Itoa(len(reqs))+".")
		}
		reqs, texts = append(reqs, req), append(texts, text)
		return nil
	})
	return reqs, texts, err
}

// refuse answers what is wrong with the HTTP request itself.
func (x *exchange) refuse(status int, text string) { x.refuseWith(status, &Error{Message: text}) }

func (x *exchange) refuseWith(status int, err *Error) {
	x.answer(status, append(appendErrors([]byte{'{'}, []*Error{err}), '}'))
}

func (x *exchange) answer(status int, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", x.media+"; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // a client that has gone needs no answer
}
