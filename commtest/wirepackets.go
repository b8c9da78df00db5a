package commtest

import (
	"context"
	"net"

	"github.com/anasamu/comm"
)

// followingPackets reaches a provider in memory by the first of its addresses where a restart has given it
// another, as Manager.DialContext does for connections.
type followingPackets struct {
	net.PacketConn
	m        *comm.Manager
	provider string
	first    string
}

// WriteTo sends p to the provider, wherever it is now.
func (c *followingPackets) WriteTo(p []byte, to net.Addr) (int, error) {
	if to.String() == c.first {
		if addrs, err := c.m.Addrs(c.provider); err == nil && len(addrs) > 0 {
			to = packetAddr{to.Network(), addrs[0]}
		}
	}
	return c.PacketConn.WriteTo(p, to)
}

type packetAddr struct{ network, addr string }

func (a packetAddr) Network() string { return a.network }
func (a packetAddr) String() string  { return a.addr }

// packetHandshake is what a handshake on packets costs, which are padded: a wire of packets carries so much more
// before it is cut, so that many cuts come behind it.
const packetHandshake = 9000

// listen opens a packet socket of the wire.
func (w *wire) listen(ctx context.Context) (net.PacketConn, error) {
	conn, err := w.to.ListenPacket(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.adopt(conn, packetHandshake); err != nil {
		return nil, err
	}
	return &wiredPackets{conn, w}, nil
}

// wiredPackets is one packet socket of a wire.
type wiredPackets struct {
	net.PacketConn
	w *wire
}

// WriteTo passes on packets while the wire carries them whole.
func (c *wiredPackets) WriteTo(p []byte, to net.Addr) (int, error) {
	if _, cut := c.w.take(len(p)); cut {
		c.w.cutNow()
		return 0, errCut
	}
	return c.PacketConn.WriteTo(p, to)
}

// ReadFrom hands over packets while the wire carries them whole.
func (c *wiredPackets) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(p)
	if err != nil {
		return n, from, err
	}
	if _, cut := c.w.take(n); cut {
		c.w.cutNow()
		return 0, nil, errCut
	}
	return n, from, nil
}
