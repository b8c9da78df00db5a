package commquic

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

// laneSettings are how one side sends.
type laneSettings struct {
	most  int // named lanes; 0: none of any kind
	large int // size from which messages take a lane of their own; 0: never
}

func (c *Config) lanes() laneSettings { return laneSettings{c.MaxLanes, int(c.LargeMessage)} }

// The names of the lanes that are chosen by something else than a name. A name of the user's cannot be one.
const (
	laneHigh  = "\x01high"
	laneLow   = "\x01low"
	laneLarge = "\x01large"
)

const (
	// laneBytes and laneMessages bound what waits in one lane; an empty lane admits any message.
	laneBytes    = 1 << 20
	laneMessages = 256
	// lanePiece is how much of a large message one deadline holds for.
	lanePiece = 1 << 20
)

// route is what a message asks for.
type route struct {
	name       string // the lane, or ""
	unreliable bool
}

// choose says where a message goes. Messages of a log keep its order on the default lane, as does every frame that
// is no message.
func (s laneSettings) choose(f *comm.Frame, size int, lane string, p comm.Priority, unreliable bool) route {
	switch {
	case f.Op != comm.OpMessage || f.Log.Log != "":
		return route{}
	case unreliable:
		return route{unreliable: true}
	case s.most == 0:
		return route{}
	case lane != "":
		return route{name: lane}
	case p == comm.PriorityHigh:
		return route{name: laneHigh}
	case p == comm.PriorityLow:
		return route{name: laneLow}
	case s.large > 0 && size >= s.large:
		return route{name: laneLarge}
	}
	return route{}
}

// lanes are the streams on which one side sends besides the default lane. They are opened when they are first
// needed, and a name keeps its stream for as long as the session lives, so that its order holds.
type lanes struct {
	sess    session
	most    int
	timeout time.Duration
	failed  func(error) // a stream has failed: the session is of no use

	mu    sync.Mutex // guards the fields below
	named map[string]*lane
	order []*lane // those with a name of the user's
	ended bool
}

// find returns the lane of a name, or nil if it goes by the default lane.
func (l *lanes) find(name string) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := name == laneHigh || name == laneLow || name == laneLarge
	if one := l.named[name]; one != nil || l.ended {
		return one
	}
	if !own && len(l.order) >= l.most {
		return l.order[hash(name)%uint32(len(l.order))]
	}
	one := l.open(name)
	if l.named == nil {
		l.named = make(map[string]*lane)
	}
	l.named[name] = one
	if !own {
		l.order = append(l.order, one)
	}
	return one
}

// open makes a lane. Where the peer allows no further stream it is one without: what is sent on it takes the
// default lane, now and later.
func (l *lanes) open(name string) *lane {
	one := &lane{all: l, head: headOf(name)}
	s, err := l.sess.openUni()
	if err != nil {
		return one
	}
	one.stream = s
	if name == laneHigh {
		s.SetPriority(urgencyHigh, true)
	}
	return one
}

func headOf(name string) laneHead {
	switch name {
	case laneHigh:
		return laneHead{priority: comm.PriorityHigh}
	case laneLow:
		return laneHead{priority: comm.PriorityLow}
	case laneLarge:
		return laneHead{}
	}
	return laneHead{name: name}
}

// urgencyHigh is before all others, which share what there is: none of them starves.
const urgencyHigh = 2

// hash is FNV-1a.
func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// finish lets what waits leave, until ctx ends, and ends the streams.
func (l *lanes) finish(ctx context.Context) {
	l.mu.Lock()
	l.ended = true
	all := make([]*lane, 0, len(l.named))
	for _, one := range l.named {
		all = append(all, one)
	}
	l.mu.Unlock()
	for _, one := range all {
		if one.stream != nil && one.drained(ctx) {
			_ = one.stream.Close()
		}
	}
}

// lane is one stream. It has a queue, and a goroutine only while that is not empty, so that whoever sends does not
// wait for it.
type lane struct {
	all    *lanes
	head   laneHead
	stream sendStream // nil: there is none

	mu      sync.Mutex // guards the fields below
	queue   [][]byte
	bytes   int
	opened  bool // the first frame has been written
	running bool
	err     error
	moved   chan struct{} // closed when something has left; nil while nobody waits
}

// put queues a frame, whose content may stand by itself. It waits, after waiting was called, while too much is there.
func (l *lane) put(b, content []byte, deadline time.Time, waiting func()) error {
	for told := false; ; told = true {
		moved, err := l.try(b, content)
		if moved == nil {
			return err
		}
		if !told {
			waiting()
		}
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-moved:
			timer.Stop()
		case <-timer.C:
			return os.ErrDeadlineExceeded
		}
	}
}

func (l *lane) try(b, content []byte) (moved <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	size := len(b) + len(content)
	if len(l.queue) > 0 && (l.bytes+size > laneBytes || len(l.queue) >= laneMessages) {
		return l.wait(), nil
	}
	l.queue = append(l.queue, b)
	if content != nil {
		l.queue = append(l.queue, content)
	}
	l.bytes += size
	if !l.running {
		l.running = true
		go l.run()
	}
	return nil, nil
}

func (l *lane) wait() <-chan struct{} {
	if l.moved == nil {
		l.moved = make(chan struct{})
	}
	return l.moved
}

// drained waits until everything has been written.
func (l *lane) drained(ctx context.Context) bool {
	for {
		l.mu.Lock()
		idle, err := !l.running, l.err
		moved := l.wait()
		l.mu.Unlock()
		if idle || err != nil {
			return err == nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// run writes what waits, small frames together.
func (l *lane) run() {
	var buf []byte
	for {
		buf = buf[:0]
		frame, ok := l.take(&buf)
		if !ok {
			return
		}
		err := l.write(buf)
		if err == nil {
			err = l.write(frame)
		}
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// take moves small frames that wait into buf, up to a piece of the size of a write, and returns a large one behind
// them by itself.
func (l *lane) take(buf *[]byte) (frame []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved != nil {
		close(l.moved)
		l.moved = nil
	}
	if len(l.queue) == 0 {
		l.running, l.queue = false, nil
		return nil, false
	}
	if !l.opened {
		l.opened = true
		*buf = appendLane(*buf, l.head)
	}
	n := 0
	for ; n < len(l.queue) && frame == nil && len(*buf) < smallWrite; n++ {
		b := l.queue[n]
		l.bytes -= len(b)
		if len(b) >= directFrame {
			frame = b
		} else {
			*buf = append(*buf, b...)
		}
	}
	clear(l.queue[:n])
	l.queue = l.queue[n:]
	return frame, true
}

// write writes b. The peer has the timeout for each piece of it.
func (l *lane) write(b []byte) error {
	for len(b) > 0 {
		_ = l.stream.SetWriteDeadline(time.Now().Add(l.all.timeout))
		n, err := l.stream.Write(b[:min(len(b), lanePiece)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (l *lane) fail(err error) {
	l.mu.Lock()
	l.err, l.running, l.queue, l.bytes = err, false, nil, 0
	if l.moved != nil {
		close(l.moved)
		l.moved = nil
	}
	l.mu.Unlock()
	l.all.failed(err)
}
