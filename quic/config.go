package commquic

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
)

// Config is what the section "quic" of a configuration file, the variables QUIC_KEY and the options of New
// set.
type Config struct {
	// Host and Port are an address of the provider's own on UDP; an IPv6 address is a Host without brackets.
	// Without both it is served on the manager's address, with the same port.
	Host string `json:"host" format:"host"`
	Port int    `json:"port" min:"0" max:"65535"`
	// MaxStreams is how many streams of each kind a client may have open at once. The default is 100. HTTP/3 needs
	// three unidirectional ones for itself (RFC 9114 6.2), which it gets.
	MaxStreams int `json:"max_streams" min:"1" max:"65536"`
	// MaxIdleTimeout is after how long without a packet a connection is given up. The default is 30 s; the
	// shorter one of both sides holds (RFC 9000 10.1).
	MaxIdleTimeout time.Duration `json:"max_idle_timeout" min:"1s"`
	// KeepAlivePeriod is after how long a silence a packet is sent that the peer acknowledges, at most half
	// of MaxIdleTimeout. The default is 15 s; 0 sends none.
	KeepAlivePeriod time.Duration `json:"keep_alive_period" min:"0s"`
	// HandshakeTimeout bounds QUIC's handshake. The default is the manager's, which also bounds the hello.
	HandshakeTimeout time.Duration `json:"handshake_timeout" min:"0s"`
	// StreamWindow and ConnectionWindow bound what a client may send before it is read, on one stream and in
	// all. The defaults are 1 MiB and 2 MiB.
	StreamWindow     comm.ByteSize `json:"stream_window" min:"2KiB" max:"1GiB"`
	ConnectionWindow comm.ByteSize `json:"connection_window" min:"2KiB" max:"1GiB"`
	// MaxLanes is how many named lanes are streams of their own for one client; further names share them.
	// The default is 8; with 0 every message takes the default lane.
	MaxLanes int `json:"max_lanes" min:"0" max:"64"`
	// LargeMessage is the size from which messages without a log take a lane of their own, so that they do
	// not delay others, and may be overtaken by them. The default, 0, is never.
	LargeMessage comm.ByteSize `json:"large_message" min:"0"`
	// RetryRate is how many handshakes a second are begun before clients must prove their address first, by
	// a Retry packet (RFC 9000 8.1.2), which costs them a round trip; so must those that come when half of a bound
	// is reached: of all connections, of their address's, or of its handshakes under way. The default is 100; 0 asks
	// always.
	RetryRate int `json:"retry_rate" min:"0" max:"1000000000"`
	// MaxConnectionsPerAddr bounds the QUIC connections of one address (IPv6: of one /64), whatever is spoken on them,
	// from their first packet on; one more is refused. The default, 0, is twice the manager's bound of the same name.
	MaxConnectionsPerAddr int `json:"max_connections_per_addr" min:"0"`
	// QlogDir is a directory for a qlog file of each connection. The default is the variable QLOGDIR; without
	// either there are none.
	QlogDir string `json:"qlog_dir"`
	// Allow0RTT takes data that a returning client sends with its first packet. Nothing of it is looked at
	// before the handshake is complete, so it cannot be replayed. The default is false.
	Allow0RTT bool `json:"allow_0rtt"`
	// HTTP3 serves the routes of the provider's address, or of the manager's, over HTTP/3 too. The default is true.
	HTTP3 bool `json:"http3"`
	// WebTransportPath is where clients of comm/1 open WebTransport sessions over HTTP/3. The default is /wt; an
	// empty path has none.
	WebTransportPath string `json:"webtransport_path"`
	// MaxSessions is how many WebTransport sessions one connection may have at once. The default is 16.
	MaxSessions int `json:"max_sessions" min:"1" max:"1024"`
}

// The defaults.
const (
	DefaultMaxStreams       = 100
	DefaultMaxIdleTimeout   = 30 * time.Second
	DefaultKeepAlivePeriod  = 15 * time.Second
	DefaultStreamWindow     = 1 << 20
	DefaultConnectionWindow = 2 << 20
	DefaultMaxLanes         = 8
	DefaultRetryRate        = 100
)

// DefaultConfig returns the configuration of a provider that is given no options.
func DefaultConfig() Config {
	return Config{
		MaxStreams: DefaultMaxStreams, MaxIdleTimeout: DefaultMaxIdleTimeout, KeepAlivePeriod: DefaultKeepAlivePeriod,
		StreamWindow: DefaultStreamWindow, ConnectionWindow: DefaultConnectionWindow,
		MaxLanes: DefaultMaxLanes, RetryRate: DefaultRetryRate,
		HTTP3: true, WebTransportPath: DefaultWebTransportPath, MaxSessions: DefaultMaxSessions,
	}
}

// address is the provider's own address, or "".
func (c *Config) address() string { return conf.Address(c.Host, c.Port) }

// setAddr takes host and port of an address.
func (c *Config) setAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil {
		return refuse("WithAddr", strconv.Quote(addr), "host:port with a port of 0 to 65535")
	}
	c.Host, c.Port = host, int(n)
	return nil
}

// check holds the settings against each other.
func (c *Config) check() error {
	var errs []error
	if c.KeepAlivePeriod > c.MaxIdleTimeout/2 {
		errs = append(errs, refuse("keep_alive_period", c.KeepAlivePeriod,
			fmt.Sprintf("at most half of max_idle_timeout, %v", c.MaxIdleTimeout/2)))
	}
	if c.ConnectionWindow < c.StreamWindow {
		errs = append(errs, refuse("connection_window", int64(c.ConnectionWindow),
			fmt.Sprintf("at least stream_window, %d", int64(c.StreamWindow))))
	}
	return errors.Join(errs...)
}

// transport are the settings as quic-go takes them. Windows start at a quarter and grow with what is read.
func (c *Config) transport() *quic.Config {
	return &quic.Config{
		MaxIdleTimeout: c.MaxIdleTimeout, KeepAlivePeriod: c.KeepAlivePeriod, HandshakeIdleTimeout: c.HandshakeTimeout,
		InitialStreamReceiveWindow: initialWindow(c.StreamWindow), MaxStreamReceiveWindow: uint64(c.StreamWindow),
		InitialConnectionReceiveWindow: initialWindow(c.ConnectionWindow), MaxConnectionReceiveWindow: uint64(c.ConnectionWindow),
		MaxIncomingStreams: int64(c.MaxStreams), MaxIncomingUniStreams: c.uniStreams(),
		EnableDatagrams: true, EnableStreamResetPartialDelivery: true, Allow0RTT: c.Allow0RTT, Tracer: tracer(c.QlogDir),
	}
}

// uniStreams is how many unidirectional streams are allowed: not fewer than HTTP/3 needs.
func (c *Config) uniStreams() int64 {
	if c.HTTP3 {
		return int64(max(c.MaxStreams, 3))
	}
	return int64(c.MaxStreams)
}

func initialWindow(most comm.ByteSize) uint64 { return max(uint64(most)/4, min(uint64(most), 64<<10)) }

// refuse is the error for a setting that is not allowed.
func refuse(option string, value any, allowed string) error {
	return &comm.OptionError{Option: "commquic." + option, Value: value, Allowed: allowed}
}

// protocols are the ALPN names that are offered, in order of preference.
func protocols(http3 bool) []string {
	if http3 {
		return []string{Protocol, "h3"}
	}
	return []string{Protocol}
}
