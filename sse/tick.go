package sse

import (
	"sync"
	"time"
)

// startTimer begins the heartbeat and the lifetime: one timer a stream, and no goroutine between its ticks.
func (s *Stream) startTimer() {
	next := s.nextTick(s.opened)
	if next <= 0 {
		return
	}
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.ctx.Err() == nil {
		s.timer = time.AfterFunc(next, s.tick)
	}
}

func (s *Stream) stopTimer() {
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
}

func (s *Stream) resetTimer(d time.Duration) {
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.ctx.Err() == nil {
		s.timer.Reset(d)
	}
}

// nextTick returns how long until the heartbeat or the end of the lifetime is due; zero means never.
func (s *Stream) nextTick(now time.Time) time.Duration {
	var next time.Duration
	if s.heartbeat > 0 {
		idle := now.Sub(s.opened) - time.Duration(s.lastWrite.Load())
		next = max(s.heartbeat-idle, time.Millisecond)
	}
	if !s.expires.IsZero() {
		left := max(s.expires.Sub(now), time.Millisecond)
		if next == 0 || left < next {
			next = left
		}
	}
	return next
}

func (s *Stream) tick() {
	if s.ctx.Err() != nil {
		return
	}
	now := time.Now()
	if !s.expires.IsZero() && !now.Before(s.expires) {
		s.stop(ErrLifetime, time.Time{})
		return
	}
	if s.heartbeat > 0 && now.Sub(s.opened)-time.Duration(s.lastWrite.Load()) >= s.heartbeat {
		s.beat(now)
	}
	s.resetTimer(s.nextTick(time.Now()))
}

// beat sends a heartbeat unless somebody is writing: that write does as well.
func (s *Stream) beat(now time.Time) {
	select {
	case s.turn <- struct{}{}:
	default:
		return
	}
	defer s.release()
	if s.ctx.Err() != nil {
		return
	}
	var deadline time.Time
	if s.writeTimeout > 0 {
		deadline = now.Add(s.writeTimeout)
	}
	scratch := getScratch()
	defer putScratch(scratch)
	*scratch = append(*scratch, ":\n\n"...)
	_, _ = s.writeFrame(*scratch, deadline, nil) // a failure has ended the stream
}

// keepScratch is the largest scratch buffer that goes back to the pool.
const keepScratch = 128 << 10

var scratchPool = sync.Pool{New: func() any { b := make([]byte, headRoom, 4<<10); return &b }}

// getScratch returns an empty frame: headRoom bytes, to append to.
func getScratch() *[]byte {
	b := scratchPool.Get().(*[]byte)
	*b = (*b)[:headRoom]
	return b
}

func putScratch(b *[]byte) {
	if cap(*b) <= keepScratch {
		scratchPool.Put(b)
	}
}
