package ws

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/wsframe"
)

// control answers one control frame whose payload is at hand.
func (c *Conn) control(h wsframe.Header) error {
	b := c.unread()
	p := b[:h.Length]
	c.skip(len(p))
	if c.side == Server {
		wsframe.Mask(p, h.Key)
	}
	switch h.Op {
	case wsframe.Ping: // answered with the same payload (RFC 6455 5.5.3)
		return c.reply(wsframe.Pong, p)
	case wsframe.Pong:
		if ps := c.pings.Load(); ps != nil {
			ps.answered(p)
		}
		return nil
	}
	return c.peerCloses(p)
}

// Ping sends a ping and waits for its pong, and returns the round trip. Pongs
// are found by whoever reads: a Read, a message's reader or Serve must be at
// work meanwhile.
func (c *Conn) Ping(ctx context.Context) (time.Duration, error) {
	id, pong := c.pinger().expect()
	defer c.pinger().forget(id)
	start := time.Now()
	var payload [8]byte
	binary.BigEndian.PutUint64(payload[:], id)
	if err := c.transmit(ctx, wsframe.Header{Fin: true, Op: wsframe.Ping}, payload[:]); err != nil {
		return 0, err
	}
	select {
	case <-pong:
		rtt := time.Since(start)
		c.pinger().rtt.Store(int64(rtt))
		return rtt, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-c.done.C():
		return 0, c.cause
	}
}

// pinger returns c's pings, made when they are needed first.
func (c *Conn) pinger() *pings {
	if p := c.pings.Load(); p != nil {
		return p
	}
	c.pings.CompareAndSwap(nil, new(pings))
	return c.pings.Load()
}

// pings matches pongs with the pings of this end.
type pings struct {
	rtt atomic.Int64 // of the last that was answered

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan struct{} // one entry for each Ping that runs
	beatID  uint64                   // of the heartbeat's ping under way, 0 if none
	sent    time.Time
}

func (p *pings) expect() (id uint64, pong <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = make(map[uint64]chan struct{})
	}
	p.last++
	ch := make(chan struct{})
	p.waiting[p.last] = ch
	return p.last, ch
}

func (p *pings) forget(id uint64) {
	p.mu.Lock()
	delete(p.waiting, id)
	p.mu.Unlock()
}

// beat sends the heartbeat's ping without waiting for the socket.
func (p *pings) beat(c *Conn) {
	p.mu.Lock()
	p.last++
	p.beatID, p.sent = p.last, time.Now()
	var payload [8]byte
	binary.BigEndian.PutUint64(payload[:], p.last)
	p.mu.Unlock()
	c.enqueue(wsframe.Ping, payload[:])
}

func (p *pings) answered(payload []byte) {
	if len(payload) != 8 {
		return // an unsolicited pong is legal and means nothing (5.5.3)
	}
	id := binary.BigEndian.Uint64(payload)
	p.mu.Lock()
	defer p.mu.Unlock()
	if id == p.beatID && id != 0 {
		p.beatID = 0
		p.rtt.Store(int64(time.Since(p.sent)))
	}
	if ch, ok := p.waiting[id]; ok {
		close(ch)
		delete(p.waiting, id)
	}
}
