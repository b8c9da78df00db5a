package memnet

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPacket is the largest UDP payload over IPv4.
	maxPacket = 65507
	// queuedPackets and queuedBytes bound what waits for a receiver; more is dropped.
	queuedPackets = 1024
	queuedBytes   = 1 << 20
)

// PacketConn is a packet socket: a double of a UDP socket on a loopback interface. Packets
// keep their order and arrive whole, except that those beyond a slow receiver's queue, and
// those to an address where nobody listens, are lost without an error, as with UDP.
// It is safe for concurrent use.
type PacketConn struct {
	network *Network
	addr    Addr
	dropped atomic.Uint64

	mu       sync.Mutex // guards the fields below
	queue    []packet
	bytes    int
	closed   bool
	notEmpty chan struct{} // capacity 1
	done     chan struct{} // closed by Close

	readBy, writeBy alarm
}

type packet struct {
	from Addr
	data []byte
}

func newPacketConn(n *Network, a Addr) *PacketConn {
	return &PacketConn{network: n, addr: a, notEmpty: make(chan struct{}, 1), done: make(chan struct{})}
}

// ReadFrom waits for a packet. What does not fit p is lost, as with UDP.
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		select {
		case <-c.done:
			return 0, nil, opError("read", c.addr, nil, net.ErrClosed)
		case <-c.readBy.wait():
			return 0, nil, opError("read", c.addr, nil, os.ErrDeadlineExceeded)
		default:
		}
		if pkt, ok := c.pop(); ok {
			return copy(p, pkt.data), pkt.from, nil
		}
		select {
		case <-c.notEmpty:
		case <-c.done:
		case <-c.readBy.wait():
		}
	}
}

// WriteTo sends p to the address, by its text. It never blocks.
func (c *PacketConn) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-c.done:
		return 0, opError("write", c.addr, to, net.ErrClosed)
	case <-c.writeBy.wait():
		return 0, opError("write", c.addr, to, os.ErrDeadlineExceeded)
	default:
	}
	if to == nil {
		return 0, opError("write", c.addr, nil, errNoAddress)
	}
	if len(p) > maxPacket {
		return 0, opError("write", c.addr, to, errTooLong)
	}
	if dst := c.network.packetConn(to.String()); dst != nil {
		dst.push(packet{c.addr, append([]byte(nil), p...)})
	}
	return len(p), nil
}

// Dropped returns how many packets to this address were lost because its queue was full.
func (c *PacketConn) Dropped() uint64 { return c.dropped.Load() }

// Close ends the socket and frees its address. A second Close is net.ErrClosed.
func (c *PacketConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return opError("close", c.addr, nil, net.ErrClosed)
	}
	c.closed = true
	c.queue, c.bytes = nil, 0
	close(c.done)
	c.readBy.set(time.Time{})
	c.writeBy.set(time.Time{})
	c.network.forgetPacketConn(c.addr)
	return nil
}

// LocalAddr returns the socket's Addr.
func (c *PacketConn) LocalAddr() net.Addr { return c.addr }

// SetDeadline sets both deadlines; see net.PacketConn.
func (c *PacketConn) SetDeadline(t time.Time) error {
	c.readBy.set(t)
	c.writeBy.set(t)
	return nil
}

// SetReadDeadline bounds current and later ReadFrom calls.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return nil
}

// SetWriteDeadline makes later WriteTo calls fail once it has passed.
func (c *PacketConn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	return nil
}

// SetReadBuffer and SetWriteBuffer accept any size and change nothing: the queue's bound
// is fixed. QUIC implementations call them and warn when they are missing.
func (c *PacketConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; see SetReadBuffer.
func (c *PacketConn) SetWriteBuffer(int) error { return nil }

func (c *PacketConn) push(pkt packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if len(c.queue) >= queuedPackets || c.bytes+len(pkt.data) > queuedBytes {
		c.dropped.Add(1)
		return
	}
	c.queue = append(c.queue, pkt)
	c.bytes += len(pkt.data)
	c.signal()
}

func (c *PacketConn) pop() (packet, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return packet{}, false
	}
	pkt := c.queue[0]
	c.queue[0] = packet{}
	c.queue = c.queue[1:]
	c.bytes -= len(pkt.data)
	if len(c.queue) > 0 {
		c.signal() // the token may have woken this reader while another waits
	}
	return pkt, true
}

func (c *PacketConn) signal() {
	select {
	case c.notEmpty <- struct{}{}:
	default:
	}
}
