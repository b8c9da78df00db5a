package commhttp

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/anasamu/comm"
)

// Provider is the HTTP provider of a [comm.Manager]: the user's routes in their chain, health and
// metrics, and long polling, by which plain HTTP clients join the hub. [New] makes one; it serves
// one manager, and can be stopped and started again.
type Provider struct {
	opts []Option

	mu        sync.Mutex // guards the fields below
	conf      ProviderConfig
	settings  *settings // nil until Configure
	adminPath string    // "" without an admin page
	adminOpts []AdminOption
	polls     *pollServer // of this start; nil while stopped or without polling
}

// New makes the provider "http". Bad options are reported by [comm.New].
//
// Besides the routes of [Handle] and [Static], in the chain that [NewHandler] documents, it serves
// /livez, /readyz and /metrics, and long polling on /poll as PROTOCOL.md describes it. Polling goes
// through request ids, the access log and recovery only: what fits answers to pages, such as
// compression, does not fit it. A route of the user's and one of the provider's own, or of another
// provider on the same address, must not be the same.
func New(opts ...Option) *Provider {
	return &Provider{opts: slices.Clone(opts), conf: DefaultProviderConfig()}
}

// Name returns "http".
func (p *Provider) Name() string { return "http" }

// Health answers nil: the listener's health is the manager's to know.
func (p *Provider) Health(context.Context) error { return nil }

// Features lists what this provider serves as it is configured.
func (p *Provider) Features() []comm.Feature {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []comm.Feature{comm.FeatureHTTP}
	s := p.settings
	if s == nil {
		return list
	}
	add := func(on bool, features ...comm.Feature) {
		if on {
			list = append(list, features...)
		}
	}
	polling, routes := p.conf.PollPath != "", len(s.routes) > 0
	add(polling, comm.FeatureLongPolling, comm.FeatureRealTime, comm.FeatureBroadcasting, comm.FeatureMulticasting, comm.FeatureUnicasting)
	add(polling || routes, comm.FeatureHeaders, comm.FeatureQueryParams, comm.FeatureBodyParsing)
	add(routes, comm.FeatureMiddleware, comm.FeatureCookies, comm.FeatureStreaming)
	add(slices.ContainsFunc(s.routes, hasWildcard), comm.FeaturePathParams)
	add(slices.ContainsFunc(s.routes, registration.isStatic), comm.FeatureStaticFiles)
	add(s.CORS != nil, comm.FeatureCORS)
	add(s.Compression != nil, comm.FeatureCompression)
	add(p.conf.LivePath != "" || p.conf.ReadyPath != "", comm.FeatureHealthChecks)
	add(p.conf.MetricsPath != "", comm.FeatureMetrics)
	return list
}

func hasWildcard(r registration) bool {
	return strings.Contains(strings.ReplaceAll(r.pattern, "{$}", ""), "{")
}

// Start routes everything on the provider's address.
func (p *Provider) Start(_ context.Context, h comm.Host) error {
	if err := p.configured(); err != nil {
		return err
	}
	list, err := p.allRoutes(h)
	if err != nil {
		return err
	}
	for _, r := range list {
		if err := h.Route(r.pattern, r.handler); err != nil {
			return err
		}
	}
	p.fallback(h)
	return nil
}

// allRoutes are the provider's own routes and the user's. The lock is not held while the host routes
// them, for it asks for the address.
func (p *Provider) allRoutes(h comm.Host) ([]registration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	routes, err := p.userRoutes(h)
	if err != nil {
		return nil, err
	}
	own, err := p.ownRoutes(h)
	if err != nil {
		return nil, err
	}
	return slices.Concat(own, routes), conflicts(p.Name(), p.settings.routes, own)
}

// configured resolves the options where no comm.New has: for the Host of a test.
func (p *Provider) configured() error {
	p.mu.Lock()
	done := p.settings != nil
	p.mu.Unlock()
	if done {
		return nil
	}
	return p.Configure(new(comm.ConfigSource))
}

// ownRoutes are the provider's endpoints. Those of the hub go through the part of the chain that
// suits streams.
func (p *Provider) ownRoutes(h comm.Host) ([]registration, error) {
	m := h.Manager()
	outer, err := p.settingsAt(h).outerChain()
	if err != nil {
		return nil, err
	}
	var list []registration
	add := func(path string, handler http.Handler) {
		if path != "" {
			list = append(list, registration{pattern: path, handler: Chain(handler, outer...)})
		}
	}
	add(p.conf.LivePath, readOnly(m.LiveHandler()))
	add(p.conf.ReadyPath, readOnly(m.ReadyHandler()))
	add(p.conf.MetricsPath, readOnly(m.MetricsHandler()))
	if p.adminPath != "" {
		admin := Admin(m, p.adminOpts...)
		add(p.adminPath, http.StripPrefix(strings.TrimSuffix(p.adminPath, "/"), admin))
	}
	p.polls = nil
	if p.conf.PollPath != "" {
		p.polls = newPollServer(h)
		add(p.conf.PollPath, p.polls)
	}
	return list, nil
}

// readOnly answers GET and HEAD alone.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			Refuse(w, r, http.StatusMethodNotAllowed, "this path has GET and HEAD")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Stop lets go of what polling still holds; the manager has closed its connections before. It is
// idempotent.
func (p *Provider) Stop(context.Context) error {
	p.mu.Lock()
	polls := p.polls
	p.polls = nil
	p.mu.Unlock()
	if polls != nil {
		polls.stop()
	}
	return nil
}
