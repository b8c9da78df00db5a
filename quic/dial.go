package commquic

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
)

// dialSettings are what DialOptions set.
type dialSettings struct {
	conf   Config
	tls    *tls.Config
	listen func(ctx context.Context) (net.PacketConn, error)
	most   int
	client []comm.ClientOption
	header http.Header // of the request of a WebTransport session; nil for none
}

// DefaultReadLimit is how large a frame a client takes.
const DefaultReadLimit = 64 << 20

// dialHandshake bounds a client's handshake unless WithHandshakeTimeout does.
const dialHandshake = 5 * time.Second

func resolveDial(opts []DialOption) (*dialSettings, error) {
	d := &dialSettings{conf: DefaultConfig(), most: DefaultReadLimit, listen: anySocket}
	err := conf.Apply("commquic.Dialer", opts, func(o DialOption) error { return o.applyDial(d) })
	if d.tls == nil {
		d.tls = new(tls.Config)
	}
	return d, errors.Join(err, conf.Check("commquic.Dialer", &d.conf), d.conf.check())
}

func anySocket(ctx context.Context) (net.PacketConn, error) {
	var lc net.ListenConfig
	return lc.ListenPacket(ctx, "udp", ":0")
}

// WithListenPacket sets how each connection gets its packet socket, which the dialer closes. The default is a UDP
// socket on a port that the system chooses.
func WithListenPacket(listen func(ctx context.Context) (net.PacketConn, error)) DialOption {
	return dialOption(func(d *dialSettings) error {
		if listen == nil {
			return refuse("WithListenPacket", nil, "a function")
		}
		d.listen = listen
		return nil
	})
}

// WithReadLimit bounds the frames that a client takes, in bytes. The default is 64 MiB.
func WithReadLimit(n int) DialOption {
	return dialOption(func(d *dialSettings) error {
		if n < 1 {
			return refuse("WithReadLimit", n, "1 or more")
		}
		d.most = n
		return nil
	})
}

// WithClientOptions sets options of the client that Dial makes.
func WithClientOptions(opts ...comm.ClientOption) DialOption {
	return dialOption(func(d *dialSettings) error { d.client = append(d.client, opts...); return nil })
}

// Dial connects to a gateway at addr, host:port, and returns a client that stays connected until ctx ends: it
// returns after a loss, resumes where it was, and moves with its network. Dial waits until the first connection
// stands; an error means that there will be none: the server's refusal, a bad option, or ctx's end.
func Dial(ctx context.Context, addr string, opts ...DialOption) (*comm.Client, error) {
	quic := Dialer(addr, opts...).(*dialer)
	if quic.err != nil {
		return nil, quic.err
	}
	d, set := &firstWelcome{Dialer: quic, came: make(chan struct{})}, quic.set
	c, err := comm.NewClient([]comm.Dialer{d}, set.client...)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	select {
	case <-d.came:
		return c, nil
	case err := <-ended:
		return nil, cmp.Or(err, context.Cause(ctx))
	}
}

// firstWelcome tells when the first welcome has come.
type firstWelcome struct {
	comm.Dialer
	came chan struct{}
	told bool // only the client's one goroutine looks at it
}

func (d *firstWelcome) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	c, err := d.Dialer.Dial(ctx, hello)
	if err != nil || d.told {
		return c, err
	}
	return &untilWelcome{c, d}, nil
}

type untilWelcome struct {
	comm.Carrier
	of *firstWelcome
}

func (c *untilWelcome) Receive(ctx context.Context) (*comm.Frame, error) {
	f, err := c.Carrier.Receive(ctx)
	if err == nil && f.Op == comm.OpWelcome && !c.of.told {
		c.of.told = true
		close(c.of.came)
	}
	return f, err
}

// Dialer returns the carrier for a comm.Client: QUIC to addr, host:port, with the protocol comm/1. Where a host has
// several addresses the next one is tried after 250 ms without an answer (RFC 8305); a first packet with data
// ([With0RTT]) goes to the first one alone. A bad option, or an address that is none, ends the
// client.
func Dialer(addr string, opts ...DialOption) comm.Dialer {
	set, err := resolveDial(opts)
	if _, _, bad := net.SplitHostPort(addr); bad != nil {
		err = errors.Join(err, refuse("Dialer", short(addr), "host:port"))
	}
	return &dialer{addr: addr, set: set, err: err}
}

// badOptions ends the client at its first attempt, since every other would fail as well.
func badOptions(err error) error {
	return comm.CloseReason{Kind: comm.ReasonProtocol, Text: "bad options", Err: err}
}

type dialer struct {
	addr string
	set  *dialSettings
	err  error
}

// Name returns "quic".
func (d *dialer) Name() string { return "quic" }

// Dial implements comm.Dialer.
func (d *dialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	if d.err != nil {
		return nil, badOptions(d.err)
	}
	silenceBuffers()
	socket, err := d.set.listen(ctx)
	if err != nil {
		return nil, err
	}
	l := &line{socket: socket, transport: &quic.Transport{Conn: socket}}
	if err := l.connect(ctx, d); err != nil {
		l.close()
		return nil, dialReason(err)
	}
	c, err := l.greet(ctx, d, hello)
	if err != nil {
		_ = l.conn.CloseWithError(0, "")
		l.close()
		return nil, dialReason(err)
	}
	return c, nil
}

// line is a client's socket with its one QUIC connection.
type line struct {
	socket    net.PacketConn
	transport *quic.Transport
	conn      *quic.Conn
	control   *quic.Stream
}

func (l *line) close() {
	_ = l.transport.Close()
	_ = l.socket.Close()
}

func (l *line) connect(ctx context.Context, d *dialer) error {
	to, err := resolve(ctx, l.socket, d.addr)
	if err != nil {
		return err
	}
	conf, secure := d.set.conf.transport(), d.set.tls.Clone()
	if conf.HandshakeIdleTimeout == 0 {
		conf.HandshakeIdleTimeout = dialHandshake
	}
	conf.MaxIncomingStreams = -1 // a server of comm/1 opens none
	secure.NextProtos, secure.MinVersion = []string{Protocol}, tls.VersionTLS13
	if secure.ServerName == "" {
		secure.ServerName, _, _ = net.SplitHostPort(d.addr)
	}
	dial := l.transport.Dial
	if d.set.conf.Allow0RTT {
		dial = l.transport.DialEarly
	}
	l.conn, err = dialFirst(ctx, to, func(ctx context.Context, to net.Addr) (*quic.Conn, error) { return dial(ctx, to, secure, conf) })
	return err
}

// greet opens the control stream and says hello on it, with the first packet where that is allowed. A server that
// did not take that packet gets the hello again.
func (l *line) greet(ctx context.Context, d *dialer, hello *comm.Frame) (*dialed, error) {
	c, err := l.hello(ctx, d, hello)
	if d.set.conf.Allow0RTT && (err == nil || errors.Is(err, quic.Err0RTTRejected)) {
		select {
		case <-l.conn.HandshakeComplete():
		case <-l.conn.Context().Done():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if err != nil || l.rejected() {
			if l.conn, err = l.conn.NextConnection(ctx); err == nil {
				c, err = l.hello(ctx, d, hello)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	c.start()
	return c, nil
}

// rejected reports whether the server did not take the first packet's data: then the stream is no more.
func (l *line) rejected() bool {
	_ = l.control.SetReadDeadline(longAgo)
	_, err := l.control.Peek(make([]byte, 1))
	_ = l.control.SetReadDeadline(time.Time{})
	return errors.Is(err, quic.Err0RTTRejected)
}

func (l *line) hello(ctx context.Context, d *dialer, hello *comm.Frame) (c *dialed, err error) {
	if l.control, err = l.conn.OpenStreamSync(ctx); err != nil {
		return nil, err
	}
	c = newDialed(quicSession{l.conn}, l.control, d.set)
	c.line = l
	return c, c.Send(ctx, hello)
}

// alpnRefused is the TLS alert no_application_protocol as a QUIC error (RFC 9001 4.8).
const alpnRefused = quic.TransportErrorCode(0x100 + 120)

// dialReason says what a refused handshake means.
func dialReason(err error) error {
	te, ok := errors.AsType[*quic.TransportError](err)
	switch {
	case !ok:
		return receiveReason(err)
	case te.ErrorCode == alpnRefused:
		return comm.CloseReason{Kind: comm.ReasonProtocol, Text: "the server does not speak " + Protocol, Err: err}
	case te.ErrorCode == quic.ConnectionRefused:
		return errors.Join(&comm.LimitError{Limit: "the server refuses connections", Retry: time.Second}, err)
	}
	return err
}
