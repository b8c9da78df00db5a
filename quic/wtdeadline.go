package commquic

import (
	"context"
	"os"
	"sync"
	"time"
)

// wtDeadline is a deadline that can be waited for, and changed meanwhile. The zero value is none.
type wtDeadline struct {
	mu      sync.Mutex // guards the fields below
	at      time.Time
	changed chan struct{} // nil while nobody waits
}

func (d *wtDeadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// now is the deadline, and what is closed when it is another one.
func (d *wtDeadline) now() (time.Time, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.at, d.changed
}

// wait returns nil when c is closed or life ends, and os.ErrDeadlineExceeded when the deadline has passed before.
func (d *wtDeadline) wait(c <-chan struct{}, life context.Context) error {
	for {
		over, err := d.waitOnce(c, life)
		if over {
			return err
		}
	}
}

// waitOnce is wait until the deadline is another one.
func (d *wtDeadline) waitOnce(c <-chan struct{}, life context.Context) (over bool, err error) {
	at, changed := d.now()
	var late <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-c:
		return true, nil
	case <-life.Done():
		return true, nil
	case <-late:
		return true, os.ErrDeadlineExceeded
	case <-changed:
		return false, nil
	}
}
