package comm

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// sessions finds a session by its secret. A session without a connection is kept for the resume
// window, a revoked one too, so that it can be refused by name; the table is bounded.
type sessions struct {
	mu     sync.Mutex
	bySum  map[sessionKey]*session
	window time.Duration
	max    int
}

// session is what outlives a connection: who the client is and where its memberships began.
type session struct {
	id     string // public
	secret string
	user   string

	mu      sync.Mutex
	conn    *Conn // the current one, or nil
	revoked bool
	ends    int64    // Unix nanoseconds, when nobody has resumed it; 0 while connected
	starts  Position // the first offset of each of the current connection's logs that it was given
	past    Position // the same of the connection before, for resumes
}

// start returns where the session's membership in a log began, if the position continues it; else 0.
func (s *session) start(key string, pos LogPosition) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.past.Get(key); ok && st.Epoch == pos.Epoch && st.Offset <= pos.Offset+1 {
		return st.Offset
	}
	return 0
}

func (s *session) joined(m *member) {
	if m.topic.log == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts.Set(LogPosition{Log: m.topic.key, Epoch: m.topic.log.Epoch(), Offset: m.start})
}

func (s *session) left(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts.Remove(key)
}

// covers reports whether the session was, or will be, given the entry at a place.
func (s *session) covers(p LogPosition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.starts.Get(p.Log)
	return ok && st.Epoch == p.Epoch && p.Offset >= st.Offset
}

var (
	errSessionRevoked = &PeerError{Code: CodeSessionRevoked, Message: "the session was closed by the server"}
	errSessionUnknown = errors.New("comm: unknown session")
)

// newID returns 128 random bits as 26 characters of base32.
func newID() string { return rand.Text() }

// newNode returns the name of this life of a process: 12 characters of [0-9a-z].
func newNode() string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	var b [12]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b[:])
}

// sessionKey is half a SHA-256: as many bits as a secret has.
type sessionKey [sha256.Size / 2]byte

// sum is the key in the table: the time of a look-up says nothing about the secret.
func sum(secret string) sessionKey {
	h := sha256.Sum256([]byte(secret))
	return sessionKey(h[:])
}

// open makes a session for a new client.
func (s *sessions) open(user string) *session {
	n := &session{id: newID(), secret: newID(), user: user}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom()
	s.bySum[sum(n.secret)] = n
	return n
}

// makeRoom forgets some session that waits for a resume when the table is full. Those with a
// connection are bounded by the connections.
func (s *sessions) makeRoom() {
	if len(s.bySum) < s.max {
		return
	}
	for k, old := range s.bySum {
		if old.idle() {
			delete(s.bySum, k)
			return
		}
	}
}

func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == nil
}

// find returns the session that secret names: errSessionUnknown or errSessionRevoked without one.
func (s *sessions) find(secret string) (*session, error) {
	s.mu.Lock()
	n := s.bySum[sum(secret)]
	s.mu.Unlock()
	if n == nil {
		return nil, errSessionUnknown
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over(time.Now()) {
		return nil, errSessionUnknown
	}
	if n.revoked {
		return nil, errSessionRevoked
	}
	return n, nil
}

// over reports whether the window to resume has passed. n.mu is held.
func (n *session) over(now time.Time) bool {
	return n.conn == nil && n.ends != 0 && now.UnixNano() > n.ends
}

// take binds the session to c and returns the connection that had it, or nil.
func (n *session) take(c *Conn) (before *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, n.conn, n.ends = n.conn, c, 0
	n.past, n.starts = n.starts, Position{}
	return before
}

// drop unbinds the session from c, unless another connection has taken it.
func (s *sessions) drop(n *session, c *Conn, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == c {
		n.conn, n.ends = nil, nanosAfter(now, s.window)
	}
}

// nanosAfter is a time in Unix nanoseconds, which end in the year 2262: windows may be longer.
func nanosAfter(now time.Time, d time.Duration) int64 {
	ns := now.UnixNano()
	return ns + min(int64(d), math.MaxInt64-ns)
}

// revoke makes the session unusable; it stays in the table until its window has passed.
func (s *sessions) revoke(n *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.revoked = true
}

// sweep forgets sessions whose window has passed.
func (s *sessions) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, n := range s.bySum {
		n.mu.Lock()
		gone := n.over(now)
		n.mu.Unlock()
		if gone {
			delete(s.bySum, k)
		}
	}
}

// resumeNotice is the error frame that tells a client that its session did not continue.
func resumeNotice(id string) *Frame {
	return errorFrame(id, CodeSessionUnknown, "the session is unknown, too old or of another identity; a new one was made")
}

var errUserChanged = &PeerError{Code: CodeUnauthenticated, Message: "the token is of another user"}

func errVersion(v int) error {
	return &PeerError{CodeUnsupportedVersion, fmt.Sprintf("version %d: allowed is %d", v, ProtocolVersion)}
}
