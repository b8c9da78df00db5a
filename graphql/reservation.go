package graphql

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/limit"
)

// reservations are the event streams of the single connection mode, by their tokens: those that are
// reserved and not yet opened, which are bounded, and those that are open, which are connections.
type reservations struct {
	perAddress int
	wait       time.Duration

	mu      sync.Mutex // guards the fields below
	streams map[string]*reservation
	waiting int
	bytes   int // of their hellos
	address map[netip.Prefix]int
}

// reservation is one token.
type reservation struct {
	token string
	from  netip.Prefix
	hello reservedHello
	timer *time.Timer
	s     *Subscriber // nil until it is open
	taken bool        // somebody opens it, or has
}

// Bounds of the reserved streams of all addresses.
const (
	maxReservations  = 10_000
	maxReservedHello = 64 << 10 // bytes of one hello
	maxReservedBytes = 16 << 20 // of all that wait
)

// reservedHello is what a client has said of itself when it reserved a stream.
type reservedHello struct {
	frame *comm.Frame // nil if nothing
	size  int         // of what it was read from
}

func (h *reservedHello) check() error {
	if h.size > maxReservedHello {
		return &comm.PeerError{Code: comm.CodeTooLarge, Message: fmt.Sprintf("extensions of %d bytes: at most %d to reserve a stream", h.size, maxReservedHello)}
	}
	return nil
}

func newReservations(h *Handler) *reservations {
	return &reservations{
		perAddress: h.perAddress, wait: h.reserveFor,
		streams: make(map[string]*reservation), address: make(map[netip.Prefix]int),
	}
}

// reserve makes a token for a client at an address.
func (l *reservations) reserve(remote string, hello reservedHello) (token string, err error) {
	from := limit.RemoteKey(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.waiting >= maxReservations:
		return "", &comm.LimitError{Limit: "reserved streams", Max: maxReservations, Retry: l.wait}
	case l.address[from] >= l.perAddress:
		return "", &comm.LimitError{Limit: "reserved streams per address", Max: l.perAddress, Retry: l.wait}
	case l.bytes+hello.size > maxReservedBytes:
		return "", &comm.LimitError{Limit: "bytes of reserved streams", Max: maxReservedBytes, Retry: l.wait}
	}
	r := &reservation{token: rand.Text(), from: from, hello: hello}
	l.streams[r.token] = r
	l.waiting++
	l.bytes += hello.size
	l.address[from]++
	r.timer = time.AfterFunc(l.wait, func() { l.expire(r) })
	return r.token, nil
}

// arrived gives back the share of the bounds that a reservation has. l.mu is held.
func (l *reservations) arrived(r *reservation) {
	r.timer.Stop()
	l.waiting--
	l.bytes -= r.hello.size
	if l.address[r.from]--; l.address[r.from] == 0 {
		delete(l.address, r.from)
	}
}

func (l *reservations) expire(r *reservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.taken && l.streams[r.token] == r {
		l.arrived(r)
		delete(l.streams, r.token)
	}
}

// take is what opens a stream does first; the error is what the client is told.
func (l *reservations) take(token string) (*reservation, *refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.streams[token]
	switch {
	case r == nil:
		return nil, errNoStream
	case r.taken:
		return nil, &refusal{http.StatusConflict, "Stream already open"}
	}
	r.taken = true
	l.arrived(r)
	return r, nil
}

// open makes the stream findable for its operations.
func (l *reservations) open(r *reservation, s *Subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.s = s
}

// drop forgets a stream that has ended or has not come about.
func (l *reservations) drop(r *reservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streams, r.token)
}

// find is the open stream of a token.
func (l *reservations) find(token string) (*Subscriber, *refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.streams[token]
	switch {
	case r == nil:
		return nil, errNoStream
	case r.s == nil:
		return nil, &refusal{http.StatusNotFound, "Stream not open yet: open it before its operations"}
	}
	return r.s, nil
}

// clear forgets all that wait.
func (l *reservations) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, r := range l.streams {
		if !r.taken {
			l.arrived(r)
			delete(l.streams, token)
		}
	}
}

// refusal is an HTTP status with its text.
type refusal struct {
	status int
	text   string
}

var errNoStream = &refusal{http.StatusNotFound, "Stream not found: it was not reserved, has ended, or its time is over"}
