package commquic

import (
	"crypto/tls"
	"slices"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
)

// Option is a setting of New.
type Option interface{ applyProvider(*Provider) error }

// DialOption is a setting of Dial and Dialer.
type DialOption interface{ applyDial(*dialSettings) error }

// SharedOption is a setting of both sides.
type SharedOption interface {
	Option
	DialOption
}

type option func(*Provider) error

func (f option) applyProvider(p *Provider) error { return f(p) }

type dialOption func(*dialSettings) error

func (f dialOption) applyDial(d *dialSettings) error { return f(d) }

// shared writes into the settings that both sides have.
type shared func(*Config) error

func (f shared) applyProvider(p *Provider) error { return f(&p.conf) }
func (f shared) applyDial(d *dialSettings) error { return f(&d.conf) }

// WithAddr gives the provider an address of its own on UDP, host:port, where an empty host is every interface
// and port 0 a free one. The default is the manager's address, with the same port number.
func WithAddr(addr string) Option {
	return option(func(p *Provider) error { p.addr = addr; return p.conf.setAddr(addr) })
}

// WithHost and [WithPort] set the provider's own address in two parts, as a configuration file does.
func WithHost(host string) Option {
	return option(func(p *Provider) error { p.addr, p.conf.Host = "", host; return nil })
}

// WithPort sets the port of the provider's own address, 0 to 65535; see [WithHost].
func WithPort(port int) Option {
	return option(func(p *Provider) error { p.addr, p.conf.Port = "", port; return nil })
}

// WithTLS sets the TLS configuration: of the provider, where the default is the manager's, or of a client's
// connections. It is cloned; its protocols (ALPN) are replaced, and TLS is 1.3 in QUIC. There is no QUIC without
// TLS: a provider without this option needs a manager with a certificate.
func WithTLS(c *tls.Config) SharedOption { return tlsOption{c} }

type tlsOption struct{ conf *tls.Config }

func (o tlsOption) applyProvider(p *Provider) error {
	if o.conf == nil {
		return refuse("WithTLS", nil, "a configuration")
	}
	p.tls = o.conf.Clone()
	return nil
}

func (o tlsOption) applyDial(d *dialSettings) error {
	if o.conf == nil {
		return refuse("WithTLS", nil, "a configuration")
	}
	d.tls = o.conf.Clone()
	return nil
}

// WithMaxStreams sets how many streams of each kind the peer may have open at once, 1 to 65,536. The default is 100.
// HTTP/3 gets three unidirectional ones at least, which it needs for itself; a WebTransport session with flow control
// of its own has as many.
func WithMaxStreams(n int) SharedOption {
	return shared(func(c *Config) error { c.MaxStreams = n; return nil })
}

// WithMaxIdleTimeout sets after how long without a packet a connection is given up, 1 s or more. The default is 30 s;
// the shorter one of both sides holds, though quic-go takes none of its peer's below 5 s.
func WithMaxIdleTimeout(d time.Duration) SharedOption {
	return shared(func(c *Config) error { c.MaxIdleTimeout = d; return nil })
}

// WithKeepAlivePeriod sets after how long a silence a packet is sent to keep the connection, and what stands in
// between, alive: at most half of the idle timeout. The default is 15 s; 0 sends none.
func WithKeepAlivePeriod(d time.Duration) SharedOption {
	return shared(func(c *Config) error { c.KeepAlivePeriod = d; return nil })
}

// WithHandshakeTimeout bounds QUIC's handshake. The default is the manager's, and 5 s for a client.
func WithHandshakeTimeout(d time.Duration) SharedOption {
	return shared(func(c *Config) error { c.HandshakeTimeout = d; return nil })
}

// WithFlowControl sets how many bytes the peer may send before they are read, on one stream and in all; the latter
// also holds for each WebTransport session with flow control of its own. The defaults are 1 MiB and 2 MiB.
func WithFlowControl(stream, connection int) SharedOption {
	return shared(func(c *Config) error {
		c.StreamWindow, c.ConnectionWindow = comm.ByteSize(stream), comm.ByteSize(connection)
		return nil
	})
}

// WithMaxLanes sets how many named lanes (comm.WithLane) are streams of their own; further names share them. The
// default is 8. With 0 every message takes the default lane, those with a priority too.
func WithMaxLanes(n int) SharedOption {
	return shared(func(c *Config) error { c.MaxLanes = n; return nil })
}

// WithLargeMessages lets messages from that size on take a lane of their own. They then delay no other message,
// and may be overtaken. Messages of a log never do. The default, 0, keeps every message without a lane in order.
func WithLargeMessages(size int) SharedOption {
	return shared(func(c *Config) error { c.LargeMessage = comm.ByteSize(size); return nil })
}

// WithRetryRate sets how many handshakes a second are begun before clients must prove their address first
// (RFC 9000 8.1.2), which they also must where half of a bound is reached: see Config.RetryRate. The default is 100; 0
// asks always.
func WithRetryRate(n int) Option {
	return option(func(p *Provider) error { p.conf.RetryRate = n; return nil })
}

// WithMaxConnectionsPerAddr bounds the QUIC connections of one address (IPv6: of one /64): clients of comm/1 and those
// that speak HTTP/3 alone, from their first packet to their end. One more is refused with CONNECTION_REFUSED before
// anything is spent on it, and who holds half of the bound must prove its address first. A connection counts for the
// address that it began with. The default, 0, is twice the manager's bound (comm.WithMaxConnectionsPerAddr), 2,000, which
// leaves room for clients that return before their last connection has ended; behind a proxy for UDP all clients have
// one address.
func WithMaxConnectionsPerAddr(n int) Option {
	return option(func(p *Provider) error { p.conf.MaxConnectionsPerAddr = n; return nil })
}

// WithQlog writes a qlog file for each connection into a directory, which it makes. The default is the variable
// QLOGDIR; without either there are none. It is for finding faults: nothing bounds how large the files grow, or how
// many there are.
func WithQlog(dir string) SharedOption {
	return shared(func(c *Config) error { c.QlogDir = dir; return nil })
}

// With0RTT lets a client that returns send its hello with its first packet, and a provider take it. The provider
// looks at nothing of it before the handshake is complete, so that it cannot be replayed. The default is off.
// A client needs a tls.Config with a ClientSessionCache.
func With0RTT() SharedOption {
	return shared(func(c *Config) error { c.Allow0RTT = true; return nil })
}

// WithStatelessResetKey sets the key from which reset tokens are made (RFC 9000 10.3). With the same key after a
// crash, the clients of the earlier process learn with what they send next that their connections are gone; without it,
// by their idle timeout. A packet that only keeps alive is too small to be answered: clients of this package send a
// larger one when a second after it nothing has come, others must say something. Keep it secret. The default is random.
func WithStatelessResetKey(key [32]byte) Option {
	return option(func(p *Provider) error { p.resetKey = new(quic.StatelessResetKey(key)); return nil })
}

// WithTokenKey sets the key that protects the tokens of Retry packets and of returning clients (RFC 9000 8.1.3).
// Servers behind one name should share it. Keep it secret. The default is random.
func WithTokenKey(key [32]byte) Option {
	return option(func(p *Provider) error { p.tokenKey = new(quic.TokenGeneratorKey(key)); return nil })
}

// New makes the provider "quic". Bad options are reported by [comm.New].
func New(opts ...Option) *Provider {
	return &Provider{opts: slices.Clone(opts), conf: DefaultConfig()}
}
