package commquic

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// pulse watches for signs of life: a client from whom nothing has come for a heartbeat is pinged, and given up if
// nothing comes for another. It needs no goroutine, and no deadline on each read.
type pulse struct {
	beat    time.Duration
	bytes   atomic.Int64 // heard so far, on all streams
	busy    atomic.Int32 // frames in the manager's hands
	ping    func()
	verdict func(comm.CloseReason)

	mu     sync.Mutex // guards the fields below
	timer  *time.Timer
	seen   int64
	pinged bool
	ended  bool
}

func (p *pulse) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.timer = time.AfterFunc(p.beat, p.look)
	}
}

func (p *pulse) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// look runs once a heartbeat.
func (p *pulse) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	switch bytes := p.bytes.Load(); {
	case bytes != p.seen || p.busy.Load() > 0:
		p.seen, p.pinged = bytes, false
	case p.pinged:
		p.ended = true
		p.verdict(comm.CloseReason{Kind: comm.ReasonHeartbeat, Text: "no sign of life"})
		return
	default:
		p.pinged = true
		p.ping()
	}
	p.timer.Reset(p.beat)
}
