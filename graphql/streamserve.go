package graphql

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/jsonscan"
)

// The protocol is GraphQL over Server-Sent Events, of the library graphql-sse.
const (
	headerToken = "X-Graphql-Event-Stream-Token" // as net/http spells it
	paramToken  = "token"                        // for EventSource, which sets no headers
)

// streamToken is the token of the single connection mode, or "".
func streamToken(r *http.Request) string {
	if t := r.Header.Get(headerToken); t != "" {
		return t
	}
	return r.URL.Query().Get(paramToken)
}

// serve answers a request of the transports for subscriptions; false means that it is none.
func (l *hall) serve(w http.ResponseWriter, r *http.Request) bool {
	serve := l.serverOf(r)
	if serve == nil {
		return false
	}
	w.Header().Add("Vary", "Accept")
	serve(w, r)
	return true
}

// serverOf tells the requests apart by their headers.
func (l *hall) serverOf(r *http.Request) http.HandlerFunc {
	switch {
	case isUpgrade(r):
		return l.serveSocket
	case r.Method == http.MethodPut && (r.ContentLength == 0 || l.host != nil):
		return l.serveReserve
	case r.Method == http.MethodDelete && streamToken(r) != "":
		return l.serveStop
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return nil
	case prefersStream(r.Header["Accept"]):
		return l.serveStream
	case r.Header.Get(headerToken) != "":
		return l.serveOperation
	}
	return nil
}

// exchange is what reads the request and refuses it.
func (l *hall) exchange(w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{h: l.h, w: w, r: r, media: mediaJSON}
}

// serveReserve answers PUT with a token. The client may say there the hello of its stream.
func (l *hall) serveReserve(w http.ResponseWriter, r *http.Request) {
	x := l.exchange(w, r)
	var hello reservedHello
	if l.host != nil {
		done, hs, err := l.greet(r)
		if err != nil {
			refuseRequest(w, r, err)
			return
		}
		defer done()
		var ok bool
		if hello, ok = l.reservedHello(x); !ok {
			return
		}
		if err := l.known(r, hs, hello.frame); err != nil {
			refuseRequest(w, r, err)
			return
		}
	}
	if l.places.Closed() {
		refuseRequest(w, r, errStopping)
		return
	}
	token, err := l.reserved.reserve(r.RemoteAddr, hello)
	if err != nil {
		refuseRequest(w, r, err)
		return
	}
	x.plain(http.StatusCreated, token)
}

// reservedHello reads the hello of a request to reserve a stream; false means that the request has been answered.
func (l *hall) reservedHello(x *exchange) (h reservedHello, ok bool) {
	read := x.query
	if x.r.ContentLength != 0 {
		read = func() (*Request, bool) { return x.timedRequest(l.settings.HandshakeTimeout) }
	}
	req, ok := read()
	if !ok {
		return h, false
	}
	if req.Query != "" || req.DocumentID != "" {
		x.refuse(http.StatusBadRequest, "A request that reserves a stream has no operation; a hello is its extension "+helloMember)
		return h, false
	}
	h.size = len(req.Extensions)
	err := h.check()
	if err == nil {
		h.frame, err = l.helloIn(req.Extensions)
	}
	if err != nil {
		refuseRequest(x.w, x.r, err)
	}
	return h, err == nil
}

// known finds out who reserves a stream, by what the request and the hello say.
func (l *hall) known(r *http.Request, hs *comm.Handshake, hello *comm.Frame) (err error) {
	if hello != nil {
		if hs, err = comm.NewHandshake(r, hello); err != nil {
			return err
		}
	}
	return l.host.Authenticate(r.Context(), hs)
}

// plain answers with a text, which may be secret.
func (x *exchange) plain(status int, text string) {
	h := x.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	x.w.WriteHeader(status)
	_, _ = x.w.Write([]byte(text)) // a client that has gone needs no answer
}

// serveStop answers DELETE: the client wants no more of an operation.
func (l *hall) serveStop(w http.ResponseWriter, r *http.Request) {
	x := l.exchange(w, r)
	s, no := l.reserved.find(streamToken(r))
	id := r.URL.Query().Get("operationId")
	switch {
	case no != nil:
		x.refuse(no.status, no.text)
	case id == "":
		x.refuse(http.StatusBadRequest, "The parameter operationId is missing")
	case !s.stop(id):
		s.alive()
		x.refuse(http.StatusNotFound, "Operation not found")
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// greet counts a handshake against the gateway's limits.
func (l *hall) greet(r *http.Request) (done func(), hs *comm.Handshake, err error) {
	if hs, err = comm.NewHandshake(r, &comm.Frame{Hello: &comm.Hello{}}); err != nil {
		return nil, nil, err
	}
	done, err = l.host.Admit(hs.RemoteAddr)
	return done, hs, err
}

// serveStream answers a request for an event stream, of either mode, and stays until it has ended.
func (l *hall) serveStream(w http.ResponseWriter, r *http.Request) {
	x := l.exchange(w, r)
	done, hs := func() {}, (*comm.Handshake)(nil)
	if l.host != nil {
		var err error
		if done, hs, err = l.greet(r); err != nil {
			refuseRequest(w, r, err)
			return
		}
	}
	done = sync.OnceFunc(done)
	defer done()
	if err := l.enter(); err != nil {
		refuseRequest(w, r, err)
		return
	}
	defer l.places.Leave()
	comm.MarkStreaming(r.Context())
	if token := streamToken(r); token != "" {
		l.openSingle(x, token, hs, done)
	} else if req, ok := x.timedRequest(l.settings.HandshakeTimeout); ok {
		l.hold(x, &held{e: newEventStream(false), hs: hs, done: done, serve: func(s *Subscriber) { s.runAlone(req) }, get: req})
	}
}

// openSingle opens the stream of the single connection mode; its operations come in requests of their own.
func (l *hall) openSingle(x *exchange, token string, hs *comm.Handshake, done func()) {
	place, no := l.reserved.take(token)
	if no != nil {
		x.refuse(no.status, no.text)
		return
	}
	defer l.reserved.drop(place)
	e := newEventStream(true)
	l.hold(x, &held{e: e, hs: hs, done: done, place: place, serve: func(*Subscriber) { <-e.stream.Done() }})
}

// runAlone runs the one operation of a stream on the goroutine of its request.
func (s *Subscriber) runAlone(req *Request) {
	op, err := s.arrive("", req)
	if err != nil { // the subscriber is leaving
		return
	}
	if st := s.begin(op, req); st != nil {
		s.answer(op, st)
	} else {
		s.leave(op)
	}
}

// held is a stream that is to be served.
type held struct {
	e     *eventStream
	hs    *comm.Handshake
	done  func()            // ends the handshake's share of the limits
	serve func(*Subscriber) // until the stream or its operation ends
	place *reservation      // of the single connection mode
	get   *Request          // of the distinct connections mode
}

// hold has a stream admitted, serves it, and tells the manager how it ended.
func (l *hall) hold(x *exchange, f *held) {
	t := l.transport("sse", x.r)
	s := newSubscriber(x.r.Context(), l.h, f.e, t)
	f.e.s = s
	defer s.wait()
	err := l.greeting(s, x.r, f)
	if err == nil {
		err = l.attach(x.r.Context(), s, t, f.hs)
	}
	if err != nil {
		s.cancel(err)
		refuseRequest(x.w, x.r, err)
		return
	}
	f.done()
	l.keep(s)
	defer l.forget(s)
	r := comm.CloseReason{Kind: comm.ReasonProtocol, Text: "a mutation by GET"}
	if f.get == nil || x.mayRead(f.get) {
		r = l.answer(x, f)
	}
	s.cancel(r)
	if s.Conn() != nil {
		s.hub.detach(r)
	}
	f.e.close(r, time.Now().Add(goodbyeTime))
}

// greeting finds the hello: that of the reservation in the single connection mode, and else the one that the operation
// may have in its extensions.
func (l *hall) greeting(s *Subscriber, r *http.Request, f *held) (err error) {
	var hello *comm.Frame
	if f.place != nil {
		hello, f.place.hello.frame = f.place.hello.frame, nil
	} else {
		hello, err = l.helloIn(f.get.Extensions)
	}
	if err != nil || hello == nil {
		return err
	}
	s.greeted = true
	f.hs, err = comm.NewHandshake(r, hello)
	return err
}

// answer writes the stream until it ends, and says why that was. What has begun in the client's eyes can be
// found by its operations.
func (l *hall) answer(x *exchange, f *held) comm.CloseReason {
	if f.place != nil {
		l.reserved.open(f.place, f.e.s)
	}
	if err := f.e.accept(l.streams, x.w, x.r); err != nil {
		return comm.CloseReason{Kind: comm.ReasonLost, Err: err}
	}
	stop := context.AfterFunc(f.e.stream.Context(), func() { f.e.s.cancel(f.e.stream.Err()) })
	defer stop()
	f.serve(f.e.s)
	return f.e.reason()
}

// serveOperation begins an operation on the stream of the single connection mode. What is wrong with its document
// is told there too: the library's client takes every other answer for a failure of the network, and tries again.
func (l *hall) serveOperation(w http.ResponseWriter, r *http.Request) {
	x := l.exchange(w, r)
	s, no := l.reserved.find(streamToken(r))
	if no != nil {
		x.refuse(no.status, no.text)
		return
	}
	req, ok := x.timedRequest(l.settings.HandshakeTimeout)
	if !ok {
		return
	}
	if s.Conn() != nil {
		s.hub.heard(max(0, int(r.ContentLength)))
	}
	id := operationID(req)
	switch {
	case id == "":
		x.refuse(http.StatusBadRequest, "The extension operationId is missing: it names the operation in the stream's events")
		return
	case len(id) > maxID:
		x.refuse(http.StatusBadRequest, "The extension operationId is too long")
		return
	case !x.mayRead(req):
		return
	}
	op, err := s.arrive(id, req)
	if err != nil {
		s.alive()
		x.refuse(enterStatus(err), enterText(err))
		return
	}
	go s.run(op, req)
	w.WriteHeader(http.StatusAccepted)
}

func enterStatus(err error) int {
	switch {
	case errors.Is(err, errDuplicateID):
		return http.StatusConflict
	case errors.Is(err, errLeaving):
		return http.StatusServiceUnavailable
	}
	return http.StatusTooManyRequests
}

func enterText(err error) string {
	switch {
	case errors.Is(err, errDuplicateID):
		return "Operation with ID already exists"
	case errors.Is(err, errLeaving):
		return "The stream is about to end; open another one"
	}
	return messageOf(err)
}

// operationID is the extension operationId, or "".
func operationID(req *Request) (id string) {
	if len(req.Extensions) == 0 || req.Extensions[0] != '{' {
		return ""
	}
	_ = jsonscan.Object(req.Extensions, func(name, value []byte) error { // it was read as an object
		if string(name) == "operationId" {
			id, _ = text(value)
		}
		return nil
	})
	return id
}

// timedRequest is request within the time for a handshake.
func (x *exchange) timedRequest(d time.Duration) (*Request, bool) {
	if x.r.Method == http.MethodGet {
		return x.request()
	}
	rc := http.NewResponseController(x.w)
	_ = rc.SetReadDeadline(time.Now().Add(d)) // where it cannot be set the server's own holds
	req, ok := x.request()
	if ok {
		_ = rc.SetReadDeadline(time.Time{}) // or its end would be taken for the client's
	}
	return req, ok
}

// mayRead refuses a mutation by GET, which any page can have a visitor's browser send. A subscription may come
// so: EventSource knows no other way, and it changes nothing.
func (x *exchange) mayRead(req *Request) bool {
	if x.r.Method != http.MethodGet {
		return true
	}
	op, _, _ := x.h.s.accept(req)
	if op == nil || op.kind != Mutation {
		return true
	}
	x.w.Header().Set("Allow", "POST")
	x.refuse(http.StatusMethodNotAllowed, "A mutation cannot be executed by a request that only reads; use POST.")
	return false
}
