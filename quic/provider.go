package commquic

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
)

// Protocol is the ALPN name of raw messaging over QUIC: the binary form of the client protocol, version 1.
const Protocol = "comm/1"

// Provider is the QUIC provider of a [comm.Manager]. [New] makes one; it serves one manager, and can be stopped
// and started again.
type Provider struct {
	opts     []Option
	conf     Config
	addr     string // as WithAddr gave it
	tls      *tls.Config
	resetKey *quic.StatelessResetKey
	tokenKey *quic.TokenGeneratorKey

	announced atomic.Pointer[announcement] // of HTTP/3, while it runs

	mu       sync.Mutex // guards the fields below
	resolved bool
	server   *server // of this start; nil while stopped
}

// Name returns "quic".
func (p *Provider) Name() string { return "quic" }

// Features lists what this provider serves: messages on comm/1, and the routes of its address over HTTP/3, where the
// request of a WebTransport session has headers and a query.
func (p *Provider) Features() []comm.Feature {
	list := []comm.Feature{
		comm.FeatureRealTime, comm.FeatureStreaming, comm.FeatureBroadcasting, comm.FeatureMulticasting, comm.FeatureUnicasting,
	}
	if p.conf.HTTP3 {
		list = append(list, comm.FeatureHTTP, comm.FeatureHTTPS)
		if p.conf.WebTransportPath != "" {
			list = append(list, comm.FeatureHeaders, comm.FeatureQueryParams)
		}
	}
	return list
}

// Configure resolves defaults, file, environment and options.
func (p *Provider) Configure(src *comm.ConfigSource) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resolved {
		return errors.New("commquic: a provider serves one manager")
	}
	p.resolved = true
	err := errors.Join(
		src.Decode(&p.conf),
		conf.Apply("commquic.New", p.opts, func(o Option) error { return o.applyProvider(p) }),
	)
	return errors.Join(err, conf.Check("commquic.New", &p.conf), p.conf.check())
}

// Address is the provider's own address, or "" for the manager's.
func (p *Provider) Address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addr != "" {
		return p.addr
	}
	return p.conf.address()
}

// TLSConfig is what WithTLS gave, or nil for the manager's.
func (p *Provider) TLSConfig() *tls.Config { return p.tls }

// Start opens the socket and serves it.
func (p *Provider) Start(ctx context.Context, h comm.Host) error {
	s, err := listen(ctx, p, h)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.server = s
	p.mu.Unlock()
	p.announce(s.socket.LocalAddr())
	return nil
}

// Stop takes no new connections and waits until every one, which the manager has closed before, is gone. When
// ctx ends it cuts what is left.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	s := p.server
	p.server = nil
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	p.announce(nil)
	return s.stop(ctx)
}

// Health answers nil while the socket is served.
func (p *Provider) Health(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return comm.ErrStopped
	}
	return nil
}
