package sse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
)

// Config is what the section "sse" of a configuration file, the variables SSE_KEY and the options of
// [New] set. The options win over the environment, and that over the file.
type Config struct {
	// Host and Port are an address of the provider's own. Without both it is served on the manager's;
	// a Port alone is on every interface, a Host alone on a free port.
	Host string `json:"host" format:"host"`
	Port int    `json:"port" min:"0" max:"65535"`
	// Path is where clients connect. The default is /events.
	Path string `json:"path"`
	// HeartbeatInterval is after how long a silence a comment is sent; clients learn it from welcome.
	// The default, zero, is the manager's heartbeat.
	HeartbeatInterval time.Duration `json:"heartbeat_interval" min:"0s"`
	// MaxConnections bounds the streams of this provider; beyond it clients are answered 503 with
	// Retry-After. The default, zero, leaves it to the manager's limits.
	MaxConnections int `json:"max_connections" min:"0"`
	// Retry tells EventSource clients at the start how long to wait before they reconnect. The default,
	// zero, leaves it to the browser.
	Retry time.Duration `json:"retry" min:"0s"`
	// Hijack takes HTTP/1.1 connections over, for a fifth of the memory of an idle stream. See WithHijack.
	Hijack bool `json:"hijack"`
}

// Provider is the Server-Sent Events carrier of a comm.Manager. [New] makes one; it serves one manager.
type Provider struct {
	opts []ProviderOption
	conf Config
	addr string // of WithAddr
	tls  *tls.Config

	mu       sync.Mutex // guards the fields below
	resolved bool
	server   *server // of the current start, or nil
}

// New makes the provider "sse". Bad options are reported by comm.New.
//
// It speaks the client protocol of PROTOCOL.md: each frame is an event of the stream, and what a
// client says comes in POST requests to the same path. A bare EventSource, or curl -N, is admitted by
// its GET request alone and continues by Last-Event-ID.
func New(opts ...ProviderOption) *Provider { return &Provider{opts: opts} }

// Name returns "sse".
func (p *Provider) Name() string { return "sse" }

// Features lists what this provider serves.
func (p *Provider) Features() []comm.Feature {
	list := []comm.Feature{
		comm.FeatureSSE, comm.FeatureHTTP, comm.FeatureStreaming, comm.FeatureRealTime, comm.FeatureCORS,
		comm.FeatureHeaders, comm.FeatureQueryParams,
		comm.FeatureBroadcasting, comm.FeatureMulticasting, comm.FeatureUnicasting,
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

// TLSConfig is what WithTLS gave for the provider's own address; nil means the manager's.
func (p *Provider) TLSConfig() *tls.Config { return p.tls }

// Configure resolves defaults, file, environment and options; comm.New calls it once.
func (p *Provider) Configure(src *comm.ConfigSource) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resolved {
		return errors.New("sse: a provider serves one manager")
	}
	p.resolved = true
	p.conf = Config{Path: "/events"}
	errs := []error{src.Decode(&p.conf)}
	errs = append(errs, conf.Apply("sse.New", p.opts, func(o ProviderOption) error { return o.applyProvider(p) }))
	return errors.Join(append(errs, conf.Check("sse.New", &p.conf), p.check())...)
}

// check holds the settings against each other.
func (p *Provider) check() error {
	var errs []error
	if path := p.conf.Path; !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " {}?#") {
		errs = append(errs, fmt.Errorf("sse: path %q: a path such as /events is needed", path))
	}
	if p.tls != nil && p.Address() == "" {
		errs = append(errs, errors.New("sse: WithTLS: needs an address of the provider's own; use comm.WithTLS for the manager's"))
	}
	return errors.Join(errs...)
}

// Start routes the path.
func (p *Provider) Start(_ context.Context, h comm.Host) error {
	s, err := newServer(p.conf, h)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.server = s
	p.mu.Unlock()
	pattern := p.conf.Path
	if strings.HasSuffix(pattern, "/") {
		pattern += "{$}" // the path alone, not all below it
	}
	return h.Route(pattern, s)
}

// Stop ends every stream that is left and waits until they are gone, or ctx ends.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	s := p.server
	p.server = nil
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.stop(ctx)
}

// Health answers nil while the provider is started.
func (p *Provider) Health(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return comm.ErrStopped
	}
	return nil
}
