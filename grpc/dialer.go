package commgrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
	"github.com/anasamu/comm/internal/conf"
)

// Dialer returns the carrier for a [comm.Client] on comm.v1.HubService: a stream of Connect, or with
// [WithSubscribe] one of Subscribe. target is as for [grpc.NewClient]: "host:port", or "dns:///host:port" and the
// like; with [WithDialContext] it is the address that the function gets. Without [WithTLS] it speaks cleartext.
//
//	client, err := comm.NewClient([]comm.Dialer{commgrpc.Dialer("gateway.example.com:443", commgrpc.WithTLS(&tls.Config{}))})
//
// Each attempt has a connection of its own, which ends with it; [WithConn] has all use one that is the caller's.
// The server's heartbeat, which welcome tells, is watched: a stream that is silent for two and a half of them is
// dead, and Receive returns [ErrIdle]. One message may be 16 MiB. Bad options are what every Dial returns.
func Dialer(target string, opts ...DialOption) comm.Dialer {
	d := &dialer{target: target}
	applied := conf.Apply("commgrpc.Dialer", opts, func(o DialOption) error { return o.applyDial(d) })
	d.err = errors.Join(applied, d.check())
	return d
}

type dialer struct {
	target    string
	err       error // of the options
	tls       *tls.Config
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	grpc      []grpc.DialOption
	conn      grpc.ClientConnInterface // the caller's, or nil
	subscribe bool
}

// DialOption is a setting of [Dialer].
type DialOption interface{ applyDial(*dialer) error }

type dialOption func(*dialer) error

func (o dialOption) applyDial(d *dialer) error { return o(d) }

// WithDialContext sets how a dialer connects; comm.Manager.DialContext connects in memory.
func WithDialContext(f func(ctx context.Context, network, addr string) (net.Conn, error)) DialOption {
	return dialOption(func(d *dialer) error {
		if f == nil {
			return errors.New("commgrpc: WithDialContext(nil): a function is needed")
		}
		d.dial = f
		return nil
	})
}

// WithDialOptions passes options on to [grpc.NewClient]. They come after the dialer's own, so they win.
func WithDialOptions(opts ...grpc.DialOption) DialOption {
	return dialOption(func(d *dialer) error {
		if slices.ContainsFunc(opts, func(o grpc.DialOption) bool { return o == nil }) {
			return errors.New("commgrpc: WithDialOptions: an option is nil")
		}
		d.grpc = append(d.grpc, opts...)
		return nil
	})
}

// WithConn has every stream use a connection of the caller's, who closes it. The target is not used then, nor any
// option about connections.
func WithConn(cc grpc.ClientConnInterface) DialOption {
	return dialOption(func(d *dialer) error {
		if cc == nil {
			return errors.New("commgrpc: WithConn(nil): a connection is needed")
		}
		d.conn = cc
		return nil
	})
}

// WithSubscribe has the dialer use Subscribe, where only the server streams: for what is between client and gateway
// and does not let streams of both sides pass. The client only listens then: whatever it sends but its hello is
// [ErrListensOnly].
func WithSubscribe() DialOption {
	return dialOption(func(d *dialer) error { d.subscribe = true; return nil })
}

// check holds the options against each other.
func (d *dialer) check() error {
	if d.conn != nil && (d.tls != nil || d.dial != nil || len(d.grpc) > 0) {
		return errors.New("commgrpc: WithConn together with options for connections: the connection has its own")
	}
	if d.conn == nil && d.target == "" {
		return errors.New("commgrpc: Dialer: the target is empty: host:port is needed")
	}
	if scheme, _, ok := strings.Cut(d.target, "://"); ok && d.conn == nil && (scheme == "http" || scheme == "https") {
		return fmt.Errorf("commgrpc: Dialer: target %q: host:port is needed, and WithTLS for a server with TLS", d.target)
	}
	return nil
}

// Name returns "grpc".
func (d *dialer) Name() string { return "grpc" }

// dialMaxMessage leaves room for what a gateway puts around a message of its default limit, and for the larger ones
// that a service sends itself.
const dialMaxMessage = 16 << 20

// connect returns the connection to use, and what lets it go.
func (d *dialer) connect() (grpc.ClientConnInterface, func(), error) {
	if d.conn != nil {
		return d.conn, func() {}, nil
	}
	creds := insecure.NewCredentials()
	if d.tls != nil {
		creds = credentials.NewTLS(d.tls)
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(dialMaxMessage), grpc.MaxCallSendMsgSize(dialMaxMessage)),
	}
	target := d.target
	if d.dial != nil {
		opts = append(opts, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return d.dial(ctx, "tcp", addr) }))
		if !strings.Contains(target, "://") && !strings.HasPrefix(target, "unix:") {
			target = "passthrough:///" + target // the function finds the address
		}
	}
	cc, err := grpc.NewClient(target, append(opts, d.grpc...)...)
	if err != nil {
		return nil, nil, err
	}
	return cc, func() { _ = cc.Close() }, nil // it fails only when it is closed already
}

// Dial implements comm.Dialer.
func (d *dialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	if d.err != nil {
		return nil, comm.CloseReason{Kind: comm.ReasonProtocol, Text: "bad options", Err: d.err} // trying again is no use
	}
	cc, free, err := d.connect()
	if err != nil {
		return nil, err
	}
	// The stream outlives ctx, which bounds dialling only.
	streamCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	c := newCarrier(streamCtx, cancel, free)
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer stop()
	if err := c.open(commv1.NewHubServiceClient(cc), d.subscribe, hello); err != nil {
		c.drop(err)
		return nil, err
	}
	go c.read()
	return c, nil
}

// ErrIdle is the end of a stream on which the server has given no sign of life.
var ErrIdle = errors.New("commgrpc: no sign of life from the server")

// ErrListensOnly refuses what a client sends over a dialer of [WithSubscribe].
var ErrListensOnly = errors.New("commgrpc: a client of Subscribe only listens")

// idleAfter is how long a stream may be silent, by the server's heartbeat.
func idleAfter(heartbeat time.Duration) time.Duration { return heartbeat*2 + heartbeat/2 }
