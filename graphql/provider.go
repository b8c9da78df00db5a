package graphql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/crossorigin"
	"github.com/anasamu/comm/internal/places"
)

// Provider is the GraphQL provider of a [comm.Manager]. [New] makes one; it serves one manager.
type Provider struct {
	opts        []Option
	schemaOpts  []SchemaOption
	handlerOpts []HandlerOption
	ownOpts     []providerOption
	conf        Config
	addr        string // of WithAddr
	tls         *tls.Config
	playground  fs.FS // of WithPlaygroundFS

	mu       sync.Mutex // guards the fields below
	resolved bool
	handler  *Handler
	server   *server // of the current start, or nil
}

// New makes the provider "graphql": options of the schema as for [NewSchema], of the handler as for
// [NewHandler], and the provider's own. What is wrong with them is reported by [comm.New].
//
// Requests pass the manager's policy of origins and its authenticator; resolvers find the identity in
// [TransportOf]. A refusal is answered with its status and an error as GraphQL clients read it. A WebSocket and an
// event stream are connections of the manager; see [Subscriber].
func New(opts ...Option) *Provider { return &Provider{opts: slices.Clone(opts)} }

// Name returns "graphql".
func (p *Provider) Name() string { return "graphql" }

// Features lists what this provider serves.
func (p *Provider) Features() []comm.Feature {
	list := []comm.Feature{
		comm.FeatureHTTP, comm.FeatureCORS, comm.FeatureHeaders, comm.FeatureQueryParams, comm.FeatureBodyParsing, comm.FeatureMiddleware,
		comm.FeatureWebSocket, comm.FeatureSSE, comm.FeatureStreaming, comm.FeatureRealTime,
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

// Schema is what the provider serves, once comm.New has made it, and else nil.
func (p *Provider) Schema() *Schema {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handler == nil {
		return nil
	}
	return p.handler.s
}

// Configure resolves defaults, file, environment and options, and makes the schema; comm.New calls it once.
func (p *Provider) Configure(src *comm.ConfigSource) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resolved {
		return errors.New("graphql: a provider serves one manager")
	}
	p.resolved = true
	p.conf = defaultConfig()
	errs := []error{src.Decode(&p.conf)}
	errs = append(errs, conf.Apply("graphql.New", p.opts, func(o Option) error { o.applyProvider(p); return nil }))
	for _, set := range p.ownOpts {
		errs = append(errs, set(p))
	}
	errs = append(errs, conf.Check("graphql.New", &p.conf), p.check())
	return errors.Join(append(errs, p.build())...)
}

// build makes the schema and its handler; options win over the configuration, so they come last.
func (p *Provider) build() error {
	s, err := NewSchema(slices.Concat(p.conf.schemaOptions(), p.schemaOpts)...)
	if err != nil {
		return err
	}
	p.handler, err = NewHandler(s, slices.Concat(p.conf.handlerOptions(), p.handlerOpts)...)
	return err
}

// check holds the settings against each other.
func (p *Provider) check() error {
	var errs []error
	if path := p.conf.Path; !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " {}?#") {
		errs = append(errs, fmt.Errorf("graphql: path %q: a path such as /graphql is needed", path))
	}
	if p.tls != nil && p.Address() == "" {
		errs = append(errs, errors.New("graphql: WithTLS: needs an address of the provider's own; use comm.WithTLS for the manager's"))
	}
	return errors.Join(errs...)
}

// Start routes the path.
func (p *Provider) Start(_ context.Context, h comm.Host) error {
	p.mu.Lock()
	if p.handler == nil {
		p.mu.Unlock()
		if err := p.Configure(new(comm.ConfigSource)); err != nil { // for the Host of a test
			return err
		}
		p.mu.Lock()
	}
	p.handler.s.logTo(h.Logger())
	s, err := newServer(p.handler, h)
	if err == nil {
		p.server = s
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.route(s)
}

// route serves the path alone, not all below it, and the page.
func (p *Provider) route(s *server) error {
	pattern := p.conf.Path
	if strings.HasSuffix(pattern, "/") {
		pattern += "{$}"
	}
	if p.conf.EnablePlayground {
		s.page = strings.TrimSuffix(p.conf.Path, "/") + "/playground/"
		page, err := p.playgroundHandler(s.page)
		if err == nil {
			err = s.host.Route(s.page, page)
		}
		if err != nil {
			return err
		}
	}
	return s.host.Route(pattern, s)
}

// Stop lets nobody begin any more, sends away the subscribers that the manager has left, and waits until they
// have gone and all requests are answered, or ctx ends.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	s := p.server
	p.server = nil
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	s.places.Close()
	return errors.Join(s.hall.stop(ctx), s.places.Wait(ctx))
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

// server is one start of a provider.
type server struct {
	handler *Handler
	host    comm.Host
	page    string // of the playground, or empty
	origins crossorigin.Policy
	hall    *hall
	places  places.Places
}

func newServer(handler *Handler, h comm.Host) (*server, error) {
	s := &server{handler: handler, host: h}
	s.origins = crossorigin.New(h.CheckOrigin, allowedMethods, allowedHeaders)
	var err error
	s.hall, err = newHall(handler, h)
	return s, err
}

// ServeHTTP admits a request and has the handler answer it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.origins.Allow(w, r); err != nil {
		refuseRequest(w, r, &comm.PeerError{Code: comm.CodeForbidden, Message: err.Error()})
		return
	}
	if r.Method == http.MethodOptions {
		s.origins.Preflight(w, r)
		return
	}
	if s.page != "" && wantsPage(r) {
		http.Redirect(w, r, s.page, http.StatusSeeOther)
		return
	}
	if s.hall.serve(w, r) {
		return
	}
	if err := s.places.Enter(0); err != nil {
		refuseRequest(w, r, comm.ErrStopped)
		return
	}
	defer s.places.Leave()
	hs, err := comm.NewHandshake(r, &comm.Frame{Hello: &comm.Hello{}})
	if err == nil {
		err = s.host.Authenticate(r.Context(), hs)
	}
	if err != nil {
		refuseRequest(w, r, err)
		return
	}
	t := &Transport{Name: "http", Header: r.Header, Request: r, Handshake: hs, Manager: s.host.Manager()}
	t.visit = &visit{l: s.hall, t: t}
	defer t.visit.end()
	s.hall.serveOnce(w, r.WithContext(WithTransport(r.Context(), t)))
}
