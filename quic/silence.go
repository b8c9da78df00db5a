package commquic

import (
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

// silence watches for a server that is gone without a word. What QUIC sends to keep a connection alive is too small for
// the server's next process to answer by a stateless reset (RFC 9000 10.3): when none of it was acknowledged, the client
// says a ping that is large enough, and QUIC repeats that until it is answered or the idle timeout is over. So it costs
// nothing as long as the server is there.
type silence struct {
	after    time.Duration // without a packet
	received func() uint64 // packets
	say      func()

	mu     sync.Mutex // guards the fields below
	timer  *time.Timer
	packet uint64 // received by the last look that saw new ones
	since  time.Time
	said   bool
	ended  bool
}

// answerTime is how long after a keep-alive its acknowledgement may come.
const answerTime = time.Second

// looks is how many times a silence is looked for while it lasts.
const looks = 4

// start watches a connection that sends keep-alives.
func (s *silence) start(keepAlive time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keepAlive == 0 || s.ended {
		return
	}
	s.after, s.since = keepAlive+answerTime, time.Now()
	s.timer = time.AfterFunc(s.after/looks, s.look)
}

func (s *silence) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

func (s *silence) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	switch packet := s.received(); {
	case packet != s.packet:
		s.packet, s.since, s.said = packet, time.Now(), false
	case !s.said && time.Since(s.since) >= s.after:
		s.said = true
		s.say()
	}
	s.timer.Reset(s.after / looks)
}

// provoke says the ping. It waits for nothing: where something is being written, that is large enough by itself.
func (d *dialed) provoke() {
	select {
	case d.sending <- struct{}{}:
		defer func() { <-d.sending }()
	default:
		return
	}
	b, err := appendFrame(nil, &comm.Frame{Op: comm.OpPing, ID: strings.Repeat("-", 32)})
	if err == nil && d.queued+len(b) <= maxQueued && d.control.TryWriteAll(b) == nil {
		d.queued += len(b)
	}
}
