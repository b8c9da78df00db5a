//go:build !linux

package park

import (
	"errors"
	"time"
)

// Available reports whether sockets can be parked here.
func Available() bool { return false }

// Count returns 0 here.
func Count() int { return 0 }

// Prepare does nothing here.
func (w *Waiter) Prepare() {}

// Park refuses here.
func (w *Waiter) Park(Control, time.Duration) (handed bool, _ error) {
	return false, errors.ErrUnsupported
}

// Wake does nothing here: nothing is parked.
func (w *Waiter) Wake() {}

// Leave does nothing here.
func (w *Waiter) Leave() {}

// Close does nothing here.
func (w *Waiter) Close() {}

func (w *Waiter) register(uintptr) {}
