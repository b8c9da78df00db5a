package graphql

import (
	"time"

	"github.com/anasamu/comm"
)

// opExpiring is how a frame of this package tells subscriptions to events that the identity is about to end. The
// client protocol has no such frame: its clients have timers.
const opExpiring = comm.OpAuth

type hubExpiring struct {
	Expires  time.Time
	Position *string
}

// remind has subscriptions to events told, once, when four fifths of the time until expires are over, and no later
// than a second before. It takes the place of what it was told before; the zero time is for an identity that does not end.
func (h *hubSide) remind(expires time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetReminder()
	if expires.IsZero() || h.s.ctx.Err() != nil {
		return
	}
	left := time.Until(expires)
	h.reminder = time.AfterFunc(max(left-max(left/5, time.Second), 0), func() {
		h.announce(&comm.Frame{Op: opExpiring, Expires: expires})
	})
}

// forgetReminder stops the timer. h.mu is held.
func (h *hubSide) forgetReminder() {
	if h.reminder != nil {
		h.reminder.Stop()
		h.reminder = nil
	}
}

func (h *hubSide) stopReminder() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetReminder()
}
