package ws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
)

// Provider is the WebSocket carrier of a comm.Manager. New makes one; it serves one manager.
type Provider struct {
	opts []ProviderOption
	conf Config
	set  []AcceptOption // what the shared options set

	mu       sync.Mutex // guards the fields below
	resolved bool
	service  *service // the last one; nil before the first
}

// ProviderOption is a setting of the provider. The options that Accept, Dial and NewConn share are
// provider options too.
type ProviderOption interface{ applyProvider(*Provider) error }

type providerOption func(*Provider) error

func (f providerOption) applyProvider(p *Provider) error { return f(p) }

// applyProvider makes every shared option one of the provider, over what Config says.
func (f shared) applyProvider(p *Provider) error {
	p.set = append(p.set, f)
	probe := defaults()
	return f(&probe)
}

// WithPath sets where clients connect. The default is /ws.
func WithPath(path string) ProviderOption {
	return providerOption(func(p *Provider) error { p.conf.Path = path; return nil })
}

// New makes the provider "websocket". Bad options are reported by comm.New.
//
// It speaks the client protocol of PROTOCOL.md, one text message a frame. A client that offers the
// subprotocol comm.v1.json says hello first; one that offers none is admitted by its request alone.
func New(opts ...ProviderOption) *Provider { return &Provider{opts: opts} }

// Name returns "websocket".
func (p *Provider) Name() string { return "websocket" }

// Features lists what this provider serves.
func (p *Provider) Features() []comm.Feature {
	list := []comm.Feature{
		comm.FeatureWebSocket, comm.FeatureRealTime, comm.FeatureStreaming, comm.FeatureHeaders, comm.FeatureQueryParams,
		comm.FeatureBroadcasting, comm.FeatureMulticasting, comm.FeatureUnicasting,
	}
	if p.conf.Compression || p.compresses() {
		list = append(list, comm.FeatureCompression)
	}
	return list
}

func (p *Provider) compresses() bool {
	probe := acceptConfig{settings: defaults()}
	for _, o := range p.set {
		_ = o.applyAccept(&probe) // checked when it was given
	}
	return probe.compression != nil
}

// Configure resolves defaults, file, environment and options.
func (p *Provider) Configure(src *comm.ConfigSource) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resolved {
		return errors.New("ws: a provider serves one manager")
	}
	p.resolved = true
	p.conf = Config{Path: "/ws", CheckOrigin: true, WriteBufferSize: maxBatch}
	errs := []error{src.Decode(&p.conf)}
	if !p.conf.CheckOrigin {
		src.Logger().Warn("check_origin is off: every page on the web can connect with its visitors' cookies", "provider", p.Name())
	}
	if n := p.conf.MaxMessageSize; n > 0 && n < smallMessage {
		src.Logger().Warn("max_message_size is small", "provider", p.Name(), "bytes", int64(n))
	}
	errs = append(errs, conf.Apply("ws.New", p.opts, func(o ProviderOption) error { return o.applyProvider(p) }))
	return errors.Join(append(errs, conf.Check("ws.New", &p.conf), p.check())...)
}

// Start routes the path on the manager's address.
func (p *Provider) Start(_ context.Context, h comm.Host) error {
	acceptor, err := NewAcceptor(p.acceptOptions(h)...)
	if err != nil {
		return err
	}
	s := &service{p: p, host: h, acceptor: acceptor}
	s.ctx, s.cancel = context.WithCancel(h.Context())
	p.mu.Lock()
	p.service = s
	p.mu.Unlock()
	return h.Route(p.conf.Path, s)
}

// protocolFamily is what every version of the client protocol begins with.
const protocolFamily = "comm."

// chooseProtocol takes the version that is spoken here, and refuses one of the family that is not
// by its name. Other subprotocols are not agreed to, as if none had been offered.
func chooseProtocol(_ *http.Request, offered []string) (string, error) {
	spoken := comm.JSON().Name()
	if slices.Contains(offered, spoken) {
		return spoken, nil
	}
	for _, name := range offered {
		if strings.HasPrefix(name, protocolFamily) {
			return "", fmt.Errorf("version %q is not spoken here: allowed is %q", name, spoken)
		}
	}
	return "", nil
}

// Stop ends handshakes under way and waits until every connection, which the manager has closed
// before, is gone.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	s := p.service
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.stop(ctx)
}

// Health answers nil: the listener's health is the manager's to know.
func (p *Provider) Health(context.Context) error { return nil }
