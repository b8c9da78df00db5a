package commquic

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
)

// datagramQueue is how many datagrams wait for the network; beyond it the oldest is lost.
const datagramQueue = 64

// datagrams sends messages that may be lost. The network is waited for on a goroutine that exists only while
// something waits, never by whoever sends.
type datagrams struct {
	sess session
	off  atomic.Bool // the peer takes none
	on   atomic.Bool // it takes those of the size that is always carried

	mu      sync.Mutex // guards the fields below
	queue   [][]byte
	running bool
}

// probe is larger than any datagram: asking to send it tells the size that is allowed now, and sends nothing.
var probe [1 << 16]byte

// always is a size that every QUIC path carries: 1,200 bytes (RFC 9000 14) without what stands around a datagram.
const always = 1100

// fits reports whether a datagram of that size could be sent now.
func (d *datagrams) fits(size int) bool {
	switch {
	case d.off.Load() || size >= len(probe):
		return false
	case d.on.Load() && size <= always:
		return true // asking costs a copy of the probe over HTTP/3
	}
	err := d.sess.sendDatagram(probe[:])
	large, ok := errors.AsType[*quic.DatagramTooLargeError](err)
	if !ok || large.MaxDatagramPayloadSize < always/2 {
		d.off.Store(true)
		return false
	}
	d.on.Store(large.MaxDatagramPayloadSize >= always)
	return int64(size) <= large.MaxDatagramPayloadSize
}

// send queues a frame. It is false for one that must take another way.
func (d *datagrams) send(b []byte) bool {
	if !d.fits(len(b)) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) >= datagramQueue {
		d.queue[0] = nil
		d.queue = d.queue[1:]
	}
	d.queue = append(d.queue, b)
	if !d.running {
		d.running = true
		go d.run()
	}
	return true
}

func (d *datagrams) run() {
	for b := d.next(); b != nil; b = d.next() {
		_ = d.sess.sendDatagram(b) // lost, like any that the network loses
	}
}

func (d *datagrams) next() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		d.running, d.queue = false, nil
		return nil
	}
	b := d.queue[0]
	d.queue[0] = nil
	d.queue = d.queue[1:]
	return b
}
