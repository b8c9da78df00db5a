package comm

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TapFilter says which frames a tap sees. At least one member must be set; both narrow.
type TapFilter struct {
	Conn string // the id of a connection: all its frames
	Type string // a message type: messages and calls of it, of every connection
}

// TapEvent is one frame that a tap saw.
type TapEvent struct {
	In       bool // from the client; false is to the client
	Conn     string
	Provider string
	At       time.Time
	// Frame must not be modified. Tokens and session secrets have been taken out of it.
	Frame *Frame
}

// Tap is a bounded view of the frames that pass the gateway, for looking and not for delivery: what
// its reader is too slow for is dropped and counted.
type Tap struct {
	manager *Manager
	filter  TapFilter
	events  chan TapEvent
	dropped atomic.Int64
	mu      sync.Mutex // held while sending, so that Close can close events
	closed  bool
	release func() // lets go of the contexts
}

// maxTaps is how many taps may be open at once, and maxTapBuffer how many events one may hold.
const (
	maxTaps      = 8
	maxTapBuffer = 4096
)

// taps is what the hot paths look at: nil while there is none.
type taps struct {
	list atomic.Pointer[[]*Tap]
	mu   sync.Mutex // serialises changes of list
}

// Tap opens a tap that holds at most buffer events for its reader; it ends with ctx, Close or the
// drain. It sees what is received from now on, and what is sent that was not being written yet. While no tap
// is open, frames cost one atomic load for it.
//
// Errors: ErrTarget for a filter that names nothing, *OptionError for a buffer outside of 1 to 4096,
// *LimitError with eight taps open, ErrClosed.
func (m *Manager) Tap(ctx context.Context, f TapFilter, buffer int) (*Tap, error) {
	switch {
	case f == TapFilter{}:
		return nil, ErrTarget
	case buffer < 1 || buffer > maxTapBuffer:
		return nil, &OptionError{Option: "Tap", Value: buffer, Allowed: "a buffer of 1 to 4096 events"}
	case m.closed.Load() || m.draining.Load():
		return nil, ErrClosed
	}
	t := &Tap{manager: m, filter: f, events: make(chan TapEvent, buffer)}
	if !m.taps.add(t) {
		return nil, &LimitError{Limit: "taps at once", Max: maxTaps, Retry: time.Second}
	}
	t.endWith(ctx, m.ctx)
	return t, nil
}

// endWith closes the tap when either context ends.
func (t *Tap) endWith(user, manager context.Context) {
	a, b := context.AfterFunc(user, t.Close), context.AfterFunc(manager, t.Close)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release = func() { a(); b() }
	if t.closed {
		t.release()
	}
}

// Events is closed when the tap has ended; what it still holds then can be read.
func (t *Tap) Events() <-chan TapEvent { return t.events }

// Dropped returns how many events found no room.
func (t *Tap) Dropped() int64 { return t.dropped.Load() }

// Close ends the tap. Closing twice does nothing.
func (t *Tap) Close() {
	t.manager.taps.remove(t)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	close(t.events)
	if t.release != nil {
		t.release()
	}
}

func (s *taps) add(t *Tap) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Tap
	if p := s.list.Load(); p != nil {
		list = slices.Clone(*p)
	}
	if len(list) >= maxTaps {
		return false
	}
	list = append(list, t)
	s.list.Store(&list)
	return true
}

func (s *taps) remove(t *Tap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.list.Load()
	if p == nil {
		return
	}
	list := slices.DeleteFunc(slices.Clone(*p), func(o *Tap) bool { return o == t })
	if len(list) == 0 {
		s.list.Store(nil)
		return
	}
	s.list.Store(&list)
}

// end closes every tap.
func (s *taps) end() {
	if list := s.list.Load(); list != nil {
		for _, t := range *list {
			t.Close()
		}
	}
}

// open returns the taps, nil for none. A frame to a client is told to those that were open before it was
// written: who opens one later would otherwise see what the client has had already, or not, by chance.
func (s *taps) open() *[]*Tap { return s.list.Load() }

// tapIn and tapOut are called on the hot paths. tapOut reports whether somebody may keep what it was given.
func (c *Conn) tapIn(f *Frame) {
	if open := c.manager.taps.open(); open != nil {
		c.tap(*open, f, true)
	}
}

func (c *Conn) tapOut(batch []Outbound, open *[]*Tap) (seen bool) {
	if open == nil {
		return false
	}
	for _, o := range batch {
		c.tap(*open, &o.e.frame, false)
	}
	return true
}

func (c *Conn) tap(list []*Tap, f *Frame, in bool) {
	for _, t := range list {
		if t.filter.match(c, f) {
			t.offer(TapEvent{In: in, Conn: c.id, Provider: c.provider.name, At: time.Now().UTC(), Frame: withoutSecrets(f)})
		}
	}
}

func (t TapFilter) match(c *Conn, f *Frame) bool {
	return (t.Conn == "" || t.Conn == c.id) &&
		(t.Type == "" || f.Message != nil && f.Message.typ == t.Type)
}

func (t *Tap) offer(e TapEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	select {
	case t.events <- e:
	default:
		t.dropped.Add(1)
	}
}

// withoutSecrets is f without what would let its reader be the client.
func withoutSecrets(f *Frame) *Frame {
	if f.Token == "" && f.Hello == nil && f.Welcome == nil {
		return f
	}
	clean := *f
	clean.Token = ""
	if f.Hello != nil {
		hello := *f.Hello
		hello.Session = ""
		clean.Hello = &hello
	}
	if f.Welcome != nil {
		welcome := *f.Welcome
		welcome.Session = ""
		clean.Welcome = &welcome
	}
	return &clean
}
