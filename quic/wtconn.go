package commquic

import (
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	wtWaiting   = 16 // streams of a connection whose session has not come yet
	wtEndedKept = 64 // ended sessions that a connection remembers, to refuse their late streams at once
)

// wtConn has the sessions of one connection and finds the session of each stream.
type wtConn struct {
	conn *quic.Conn
	most int           // sessions at once
	wait time.Duration // for a stream's header, and for the session of a stream

	tasks  *sync.WaitGroup // the goroutines of the connection
	server bool            // this end is it
	ours   wtLimits        // what this end has announced

	mu       sync.Mutex // guards the fields below
	theirs   wtLimits   // what the peer has
	sessions map[quic.StreamID]*WebTransportSession
	asked    int              // sessions and those that are being made
	waiting  []*waitingStream // oldest first
	ended    [wtEndedKept]quic.StreamID
	endings  int // sessions that have ended, in all
	closed   bool
}

// waitingStream is a stream that has come before its session.
type waitingStream struct {
	session quic.StreamID
	deliver func(*WebTransportSession)
	reject  func(quic.StreamErrorCode)
	timer   *time.Timer
}

func newWTConn(c *quic.Conn, most int, wait time.Duration, tasks *sync.WaitGroup, server bool, ours wtLimits) *wtConn {
	return &wtConn{
		conn: c, most: most, wait: wait, tasks: tasks, server: server, ours: ours, sessions: make(map[quic.StreamID]*WebTransportSession),
	}
}

// heard notes the peer's settings.
func (w *wtConn) heard(s *http3.Settings) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.theirs = limitsOf(s)
}

// reserve takes a place for a session.
func (w *wtConn) reserve() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.asked >= w.most {
		return false
	}
	w.asked++
	return true
}

// release gives back a place for which no session came to be. Streams that waited for it are refused.
func (w *wtConn) release(id quic.StreamID) {
	w.mu.Lock()
	w.asked--
	w.note(id)
	mine := w.waitersOf(id)
	w.mu.Unlock()
	for _, s := range mine {
		s.reject(codeSessionGone)
	}
}

// open makes the session of a reserved place, and gives it the streams that wait for it.
func (w *wtConn) open(control wtControl) *WebTransportSession {
	w.mu.Lock()
	s := newSession(w, control, w.theirs)
	w.sessions[s.id] = s
	mine := w.waitersOf(s.id)
	w.mu.Unlock()
	for _, o := range mine {
		o.deliver(s)
	}
	return s
}

// remove forgets a session that has ended.
func (w *wtConn) remove(s *WebTransportSession) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sessions[s.id] == s {
		delete(w.sessions, s.id)
		w.asked--
		w.note(s.id)
	}
}

// note remembers a session that has ended. w.mu is held.
func (w *wtConn) note(id quic.StreamID) {
	w.ended[w.endings%wtEndedKept] = id
	w.endings++
}

// isEnded reports whether a session has ended, as far as the connection remembers. w.mu is held.
func (w *wtConn) isEnded(id quic.StreamID) bool {
	for _, o := range w.ended[:min(w.endings, wtEndedKept)] {
		if o == id {
			return true
		}
	}
	return false
}

// waitersOf takes the streams out that wait for a session. w.mu is held.
func (w *wtConn) waitersOf(id quic.StreamID) (mine []*waitingStream) {
	rest := w.waiting[:0]
	for _, s := range w.waiting {
		if s.session == id {
			s.timer.Stop()
			mine = append(mine, s)
		} else {
			rest = append(rest, s)
		}
	}
	clear(w.waiting[len(rest):])
	w.waiting = rest
	return mine
}

// all are the sessions now.
func (w *wtConn) all() []*WebTransportSession {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]*WebTransportSession, 0, len(w.sessions))
	for _, s := range w.sessions {
		list = append(list, s)
	}
	return list
}

// close ends with the connection: nothing waits any more.
func (w *wtConn) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, s := range w.waiting {
		s.timer.Stop()
	}
	w.waiting = nil
}

// route hands a stream to its session, or keeps it for a while until the session has come.
func (w *wtConn) route(s *waitingStream) {
	w.mu.Lock()
	session := w.sessions[s.session]
	code := codeSessionGone
	switch {
	case session != nil || w.closed || w.isEnded(s.session):
	case len(w.waiting) >= wtWaiting:
		code = codeBufferedRejected
	default:
		s.timer = time.AfterFunc(w.wait, func() { w.expire(s) })
		w.waiting = append(w.waiting, s)
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	if session != nil {
		s.deliver(session)
		return
	}
	s.reject(code)
}

// expire refuses a stream whose session has not come.
func (w *wtConn) expire(s *waitingStream) {
	w.mu.Lock()
	found := false
	for i, o := range w.waiting {
		if o == s {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			found = true
			break
		}
	}
	w.mu.Unlock()
	if found {
		s.reject(codeBufferedRejected)
	}
}

// handleUni serves a unidirectional stream of a session whose type was peeked.
func (w *wtConn) handleUni(str *quic.ReceiveStream) {
	id, head, err := w.header(str)
	if err != nil {
		str.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestIncomplete))
		return
	}
	w.route(&waitingStream{
		session: id, reject: str.CancelRead,
		deliver: func(s *WebTransportSession) {
			t, err := s.newReceiveStream(str, head)
			switch {
			case err != nil:
				str.CancelRead(codeSessionGone)
			case !s.uni.put(t):
				str.CancelRead(codeBufferedRejected)
				t.over()
			}
		},
	})
}

// handleBidi serves a bidirectional stream of a session whose signal was peeked.
func (w *wtConn) handleBidi(str *quic.Stream) {
	reject := func(code quic.StreamErrorCode) {
		str.CancelRead(code)
		str.CancelWrite(code)
	}
	id, head, err := w.header(str)
	if err != nil {
		reject(quic.StreamErrorCode(http3.ErrCodeRequestIncomplete))
		return
	}
	w.route(&waitingStream{
		session: id, reject: reject,
		deliver: func(s *WebTransportSession) {
			t, err := s.newStream(str, nil, head)
			switch {
			case err != nil:
				reject(codeSessionGone)
			case !s.bidi.put(t):
				reject(codeBufferedRejected)
				t.WebTransportReceiveStream.over()
			}
		},
	})
}

// header reads which session a stream belongs to, and how long the header is. A session that cannot exist ends the
// connection.
func (w *wtConn) header(str interface {
	receiveStream
	SetReadDeadline(time.Time) error
},
) (id quic.StreamID, size int64, err error) {
	id, size, err = readStreamHeader(str)
	if err == errSessionID {
		_ = w.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeIDError), err.Error())
	}
	_ = str.SetReadDeadline(time.Time{})
	return id, size, err
}
