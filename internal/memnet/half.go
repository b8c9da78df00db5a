package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// window is how many bytes may be under way in one direction.
	window = 64 << 10
	// chunk is the size of the pooled buffers that small transfers use.
	chunk = 4 << 10
)

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// half is one direction of a connection: a bounded buffer between a writer and a reader.
// An empty one holds no memory.
type half struct {
	mu   sync.Mutex
	wake *sync.Cond // on mu: data, room, an end or a deadline

	buf      []byte // buf[off:] is unread
	off      int
	pooled   *[chunk]byte // what buf lies in, if it is a pooled chunk
	finished bool         // the writer has closed: EOF after the data
	aborted  bool         // the reader has closed: data is dropped, writes fail
	closed   bool         // the writer's own end has closed altogether

	readBy, writeBy expiry
}

func newHalf() *half {
	h := new(half)
	h.wake = sync.NewCond(&h.mu)
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.aborted:
			return 0, net.ErrClosed
		case h.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.off < len(h.buf):
			n := copy(p, h.buf[h.off:])
			h.off += n
			if h.off == len(h.buf) {
				h.release()
			}
			h.wake.Broadcast()
			return n, nil
		case h.finished:
			return 0, io.EOF
		}
		h.wake.Wait()
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	written := 0
	for {
		switch {
		case h.closed:
			return written, net.ErrClosed
		case h.finished, h.aborted:
			return written, errBroken
		case h.writeBy.passed:
			return written, os.ErrDeadlineExceeded
		case written == len(p):
			return written, nil
		}
		room := window - (len(h.buf) - h.off)
		if room == 0 {
			h.wake.Wait()
			continue
		}
		n := min(room, len(p)-written)
		h.append(p[written : written+n])
		written += n
		h.wake.Broadcast()
		if written == len(p) {
			return written, nil
		}
	}
}

// append adds p, which fits the window; mu is held.
func (h *half) append(p []byte) {
	if h.buf == nil && len(p) <= chunk {
		h.pooled = chunks.Get().(*[chunk]byte)
		h.buf = h.pooled[:0]
	}
	if h.off > 0 && len(h.buf)+len(p) > cap(h.buf) {
		h.buf = h.buf[:copy(h.buf, h.buf[h.off:])]
		h.off = 0
	}
	outgrown := len(h.buf)+len(p) > cap(h.buf)
	h.buf = append(h.buf, p...)
	if outgrown && h.pooled != nil {
		chunks.Put(h.pooled)
		h.pooled = nil
	}
}

// release frees the buffer; mu is held.
func (h *half) release() {
	if h.pooled != nil {
		chunks.Put(h.pooled)
	}
	h.buf, h.off, h.pooled = nil, 0, nil
}

func (h *half) closeWrite() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return net.ErrClosed
	}
	h.finished = true
	h.wake.Broadcast()
	return nil
}

// closeBoth is the writer's whole Close; it reports whether it was the first.
func (h *half) closeBoth() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := !h.closed
	h.closed, h.finished = true, true
	h.writeBy.stop()
	h.wake.Broadcast()
	return first
}

func (h *half) closeRead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.aborted = true
	h.readBy.stop()
	h.release()
	h.wake.Broadcast()
}

func (h *half) setReadDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.aborted {
		return net.ErrClosed
	}
	h.readBy.set(h, t)
	return nil
}

func (h *half) setWriteDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return net.ErrClosed
	}
	h.writeBy.set(h, t)
	return nil
}

// expiry is one end's deadline on a half, guarded by the half's mutex.
type expiry struct {
	passed bool
	timer  *time.Timer
}

func (e *expiry) set(h *half, t time.Time) {
	e.stop()
	e.passed = !t.IsZero() && !time.Now().Before(t)
	if e.passed {
		h.wake.Broadcast()
	}
	if e.passed || t.IsZero() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(t), func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		// A timer that was replaced while it fired says nothing any more.
		if e.timer == timer {
			e.passed = true
			h.wake.Broadcast()
		}
	})
	e.timer = timer
}

func (e *expiry) stop() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}
