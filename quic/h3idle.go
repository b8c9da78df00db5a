package commquic

import (
	"sync"
	"time"
)

// idle ends a connection on which nothing has been under way for some time. http3 has a timer like it, but keeps it,
// and the connection with it, where its own beginning fails.
type idle struct {
	after time.Duration // 0 or less: never
	end   func()

	mu    sync.Mutex // guards the fields below
	busy  int
	timer *time.Timer // nil before start, and after stop
}

// start begins to count the time.
func (i *idle) start() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.after > 0 && i.busy == 0 {
		i.timer = time.AfterFunc(i.after, i.look)
	}
}

// look runs when the time is over.
func (i *idle) look() {
	i.mu.Lock()
	over := i.timer != nil && i.busy == 0 // else something has begun just now
	i.mu.Unlock()
	if over {
		i.end()
	}
}

// enter and leave stand around what is under way.
func (i *idle) enter() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.busy++; i.timer != nil {
		i.timer.Stop()
	}
}

func (i *idle) leave() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.busy--; i.busy == 0 && i.timer != nil {
		i.timer.Reset(i.after)
	}
}

// stop lets the connection live, or rest.
func (i *idle) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
}
