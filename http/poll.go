package commhttp

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/crossorigin"
)

// The numbers of long polling, as PROTOCOL.md gives them.
const (
	maxPollWait  = 30 * time.Second // how long a poll waits, and the default
	pollIdle     = 45 * time.Second // a connection that is not polled for so long is lost
	pollLinger   = 10 * time.Second // how long the last answer is kept after the end
	maxLingering = 4096             // connections that have ended and keep their last answer
)

// pollServer is the endpoint of long polling for one start of the provider.
type pollServer struct {
	host    comm.Host
	codec   comm.Codec
	format  comm.Format // boxed once
	origins crossorigin.Policy

	mu        sync.Mutex // guards the fields below
	conns     map[string]*pollConn
	lingering int
	stopped   bool
}

func newPollServer(h comm.Host) *pollServer {
	return &pollServer{
		host: h, codec: comm.JSON(), format: pollFormat{comm.JSON()},
		origins: crossorigin.New(h.CheckOrigin, allowedMethods, allowedHeaders), conns: make(map[string]*pollConn),
	}
}

// ServeHTTP tells the requests of the endpoint apart.
func (s *pollServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := s.origins.Allow(w, r); err != nil {
		comm.WriteRefusal(w, "", &comm.PeerError{Code: comm.CodeForbidden, Message: err.Error()})
		return
	}
	switch r.Method {
	case http.MethodOptions:
		s.origins.Preflight(w, r)
	case http.MethodGet:
		if r.URL.Query().Has("conn") {
			s.poll(w, r)
			return
		}
		s.open(w, r)
	case http.MethodPost:
		if r.Header.Get(headerConnection) != "" {
			s.upward(w, r)
			return
		}
		s.open(w, r)
	case http.MethodDelete:
		s.goodbye(w, r)
	default:
		h.Set("Allow", allowedMethods)
		s.refuse(w, http.StatusMethodNotAllowed, errorFrame(comm.CodeBadFrame, "method "+clip(r.Method)+": allowed are "+allowedMethods))
	}
}

// The headers with which a client names its connection.
const (
	headerConnection = "Comm-Connection"
	headerSession    = "Comm-Session"
	allowedMethods   = "GET, POST, DELETE, OPTIONS"
	allowedHeaders   = headerConnection + ", " + headerSession + ", Authorization, Content-Type, Last-Event-ID, traceparent, tracestate"
)

// leaving reports whether an answer would be the last.
func (s *pollServer) leaving() bool { return s.host.Manager().Leaving() }

// find returns the connection of that id, also one that has ended not long ago.
func (s *pollServer) find(id string) *pollConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}

// add makes an attached connection findable, unless the provider has stopped.
func (s *pollServer) add(id string, pc *pollConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.conns[id] = pc
	}
}

// linger counts a connection that has ended, and reports whether it may keep its last answer.
func (s *pollServer) linger() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.lingering >= maxLingering {
		return false
	}
	s.lingering++
	return true
}

// forget removes a connection; lingered says that linger counted it.
func (s *pollServer) forget(id string, lingered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, id)
	if lingered {
		s.lingering--
	}
}

// stop forgets every connection. Those that have not ended by themselves are the manager's to close.
func (s *pollServer) stop() {
	s.mu.Lock()
	s.stopped = true
	conns := s.conns
	s.conns = make(map[string]*pollConn)
	s.mu.Unlock()
	for _, pc := range conns {
		pc.stop()
	}
}

// refuse answers with an error frame, and with the headers that its status wants.
func (s *pollServer) refuse(w http.ResponseWriter, status int, f *comm.Frame) {
	body, err := s.codec.AppendFrame(nil, f)
	if err != nil { // an error frame of this package always encodes
		body = []byte(`{"op":"error","code":"internal"}`)
	}
	s.write(w, status, append(body, '\n'))
}

// refuseError answers with what err means to a client, id being that of its frame.
func (s *pollServer) refuseError(w http.ResponseWriter, id string, err error) {
	status := comm.SetRefusal(w.Header(), err)
	if err == errNoBody {
		status = http.StatusRequestTimeout
	}
	s.refuse(w, status, comm.RefusalFrame(id, err))
}

func errorFrame(code comm.Code, text string) *comm.Frame {
	return &comm.Frame{Op: comm.OpError, Code: code, Text: text}
}

// write sends one JSON answer within the write timeout.
func (s *pollServer) write(w http.ResponseWriter, status int, pieces ...[]byte) (sent int) {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(size))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(s.host.Settings().WriteTimeout))
	w.WriteHeader(status)
	for _, p := range pieces {
		n, err := w.Write(p)
		sent += n
		if err != nil {
			return sent
		}
	}
	return sent
}
