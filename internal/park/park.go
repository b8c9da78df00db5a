// Package park waits for sockets without a goroutine for each. Most connections of a large server are idle,
// and a goroutine that waits is most of what an idle one costs.
//
// All parked sockets share one epoll instance (poller_linux.go), whose own descriptor one goroutine waits for
// through Go's network poller. That goroutine exists only while something is parked. It also keeps the
// deadlines (wheel.go), so that none has a timer of its own. Where there is no epoll, Available is false.
//
// A Waiter has one owner at a time: a goroutine that reads the socket, or the poller. Park hands it over, and
// the call of the function given to Init hands it back:
//
//	for {
//		read what is there, until the socket would block
//		w.Prepare()
//		check what else would end the wait, such as a cancelled context, whose setter calls w.Wake after it
//		if parked, err := w.Park(sys, wait); parked {
//			return // another goroutine goes on when there is something
//		}
//	}
package park

// Waiter is what waits for one socket. Init must be called before anything else.
type Waiter struct {
	wake func()
	arm  func(fd uintptr) // register, stored: a method value costs an allocation

	// Guarded by the poller's lock.
	state      state
	closed     bool
	fd         int32
	round      uint32  // makes events of earlier registrations void
	due        tick    // 0: never
	next, prev *Waiter // in the wheel's slot
}

// state is where a Waiter is.
type state uint8

const (
	running  state = iota // its owner is at work
	prepared              // about to be parked
	armed                 // registered, and not handed over yet
	fired                 // woken between Prepare and the end of Park
	parked                // the poller's
)

// Init sets what is called, on a goroutine of its own, when a parked waiter is woken: because the socket is
// readable, was closed by the peer or has failed, because the time given to Park has passed, or by Wake or
// Close. There may be less reason to wake than it seems: the owner reads, and parks again.
func (w *Waiter) Init(wake func()) {
	w.wake, w.arm, w.fd = wake, w.register, none
}

// none is the descriptor of a waiter that has none yet.
const none = -1

// Control is the part of syscall.RawConn that Park uses.
type Control interface {
	Control(f func(fd uintptr)) error
}
