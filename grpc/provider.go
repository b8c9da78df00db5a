package commgrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/grpc/internal/link"
	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/limit"
)

// Provider is the gRPC provider of a [comm.Manager]. [New] makes one; it serves one manager.
type Provider struct {
	opts     []Option
	conf     Config
	addr     string // of WithAddr
	tls      *tls.Config
	services registrations
	health   *healthService
	hub      *hubService                 // nil without one
	channelz func(grpc.ServiceRegistrar) // nil unless package channelz is linked
	unary    []grpc.UnaryServerInterceptor
	stream   []grpc.StreamServerInterceptor
	stats    []stats.Handler
	unknown  grpc.StreamHandler
	public   []string
	rate     *limit.Limiter[netip.Prefix] // of calls, or nil
	server   []grpc.ServerOption

	mu       sync.Mutex // guards the fields below
	resolved bool
	running  *server // of the current start, or nil
}

// New makes the provider "grpc". What is wrong with its options is reported by [comm.New].
func New(opts ...Option) *Provider {
	return &Provider{opts: slices.Clone(opts), health: newHealth(), hub: new(hubService), channelz: link.Channelz}
}

// Name returns "grpc".
func (p *Provider) Name() string { return "grpc" }

// Features lists what this provider serves, beside what the manager adds to each: HTTP and CORS for gRPC-Web, metadata
// as headers, interceptors as middleware, and, with the hub, sending to one, some and all.
func (p *Provider) Features() []comm.Feature {
	list := []comm.Feature{
		comm.FeatureHTTP, comm.FeatureCORS, comm.FeatureHeaders, comm.FeatureStreaming, comm.FeatureRealTime, comm.FeatureCompression,
		comm.FeatureMiddleware, comm.FeatureHealthChecks,
	}
	if p.hub != nil {
		list = append(list, comm.FeatureBroadcasting, comm.FeatureMulticasting, comm.FeatureUnicasting)
	}
	if p.tls != nil {
		list = append(list, comm.FeatureHTTPS)
	}
	return list
}

// Address is the provider's own address, or "" for the manager's.
func (p *Provider) Address() string {
	if p.addr != "" {
		return p.addr
	}
	return conf.Address(p.conf.Host, p.conf.Port)
}

// TLSConfig is what [WithTLS] gave for the provider's own address; nil means the manager's.
func (p *Provider) TLSConfig() *tls.Config { return p.tls }

// Server is the server of gRPC's native transport while the provider runs, and else nil: for what is not wrapped here.
// Each start makes a new one. Services are to be added by [Register]; it is too late for them here.
func (p *Provider) Server() *grpc.Server {
	if s := p.current(); s != nil {
		return s.native
	}
	return nil
}

func (p *Provider) current() *server {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// Configure resolves defaults, file, environment and options, and takes the services; comm.New calls it once.
func (p *Provider) Configure(src *comm.ConfigSource) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resolved {
		return errOneManager
	}
	p.resolved = true
	p.conf = defaultConfig()
	errs := []error{src.Decode(&p.conf), conf.Apply("commgrpc.New", p.opts, func(o Option) error { return o.apply(p) })}
	p.registerOwn()
	return errors.Join(slices.Concat(errs, p.services.errs, []error{p.check()})...)
}

// registerOwn adds the services that come with the provider, where the user has not brought them.
func (p *Provider) registerOwn() {
	p.hub.register(&p.services)
	names := make([]string, 0, len(p.services.list))
	for _, s := range p.services.list {
		names = append(names, s.desc.ServiceName)
	}
	p.health.cover(names)
	if !p.services.has(healthName) {
		p.health.register(&p.services)
	}
	if p.conf.EnableChannelz && !p.services.has(channelzName) && p.channelz != nil {
		p.channelz(&p.services)
	}
	if p.conf.EnableReflection && !p.services.has(reflectionName) {
		reflection.RegisterV1(&p.services)
	}
}

// Start claims the connections of the provider's address that speak gRPC, and routes the calls that come with others.
func (p *Provider) Start(_ context.Context, h comm.Host) error {
	p.mu.Lock()
	resolved := p.resolved
	p.mu.Unlock()
	if !resolved { // for the Host of a test
		if err := p.Configure(new(comm.ConfigSource)); err != nil {
			return err
		}
	}
	s, err := newServer(p, h)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.running = s
	p.mu.Unlock()
	return s.start()
}

// Stop takes no more calls, sends clients GOAWAY, and lets calls under way finish until ctx ends, which cuts them.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	s := p.running
	p.running = nil
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.stop(ctx)
}

// Health answers nil while the provider is started.
func (p *Provider) Health(context.Context) error {
	if p.current() == nil {
		return comm.ErrStopped
	}
	return nil
}
