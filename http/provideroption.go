package commhttp

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
)

// ProviderConfig is what the section "http" of a configuration file, the variables HTTP_KEY and the
// options of [New] set: the [Config] of the routes, and where the provider's own endpoints are. An
// empty path switches its endpoint off.
type ProviderConfig struct {
	Config

	// PollPath is where clients join the hub by long polling. Default /poll.
	PollPath string `json:"poll_path"`
	// LivePath, ReadyPath and MetricsPath are the manager's health and metrics. Default /livez,
	// /readyz and /metrics.
	LivePath    string `json:"live_path"`
	ReadyPath   string `json:"ready_path"`
	MetricsPath string `json:"metrics_path"`
}

// DefaultProviderConfig returns the configuration of a provider for which nothing is set.
func DefaultProviderConfig() ProviderConfig {
	return ProviderConfig{
		Config: DefaultConfig(), PollPath: "/poll", LivePath: "/livez", ReadyPath: "/readyz", MetricsPath: "/metrics",
	}
}

// providerOption is an option of New alone.
type providerOption struct {
	name string
	set  func(*Provider) error
}

// apply is called by NewHandler, which has neither a manager nor endpoints of its own.
func (o providerOption) apply(*settings) error {
	return fmt.Errorf("commhttp: %s: is an option of New; NewHandler serves routes alone", o.name)
}

// WithPollPath sets ProviderConfig.PollPath.
func WithPollPath(path string) Option {
	return providerOption{"WithPollPath", func(p *Provider) error { p.conf.PollPath = path; return nil }}
}

// WithoutPolling serves no long polling: the provider's requests are answered, and nobody joins the
// hub through it.
func WithoutPolling() Option { return WithPollPath("") }

// WithHealthPaths sets ProviderConfig.LivePath and ReadyPath.
func WithHealthPaths(live, ready string) Option {
	return providerOption{"WithHealthPaths", func(p *Provider) error {
		p.conf.LivePath, p.conf.ReadyPath = live, ready
		return nil
	}}
}

// WithMetricsPath sets ProviderConfig.MetricsPath.
func WithMetricsPath(path string) Option {
	return providerOption{"WithMetricsPath", func(p *Provider) error { p.conf.MetricsPath = path; return nil }}
}

// WithAdmin serves [Admin] under a path that ends in a slash, such as "/" or "/admin/".
func WithAdmin(path string, opts ...AdminOption) Option {
	return providerOption{"WithAdmin", func(p *Provider) error {
		if !strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/") || strings.ContainsAny(path, " {}") {
			return &comm.OptionError{Option: "commhttp.WithAdmin", Value: path, Allowed: `a path that ends in a slash, such as "/admin/"`}
		}
		p.adminPath, p.adminOpts = path, opts
		return nil
	}}
}

// Configure resolves defaults, file, environment and options; see [comm.Configurable].
func (p *Provider) Configure(src *comm.ConfigSource) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.settings != nil {
		return errors.New("commhttp: a provider serves one manager")
	}
	p.conf = DefaultProviderConfig()
	errs := []error{src.Decode(&p.conf)}
	var forRoutes []Option
	for _, o := range p.opts {
		if own, ok := o.(providerOption); ok {
			errs = append(errs, own.set(p))
			continue
		}
		forRoutes = append(forRoutes, o)
	}
	s, err := resolve(p.conf.Config, forRoutes)
	p.settings, p.conf.Config = s, s.Config
	return errors.Join(append(errs, err, p.conf.checkPaths())...)
}

// endpoint is one path of the provider's own.
type endpoint struct{ name, path string }

func (c *ProviderConfig) endpoints() []endpoint {
	return []endpoint{
		{"poll_path", c.PollPath}, {"live_path", c.LivePath}, {"ready_path", c.ReadyPath}, {"metrics_path", c.MetricsPath},
	}
}

func (c *ProviderConfig) checkPaths() error {
	var errs []error
	taken := make(map[string]string)
	for _, e := range c.endpoints() {
		switch other, dup := taken[e.path]; {
		case e.path == "":
			continue
		case !strings.HasPrefix(e.path, "/") || strings.ContainsAny(e.path, " {}"):
			errs = append(errs, &comm.OptionError{Option: "http." + e.name, Value: e.path, Allowed: `a path such as "/poll", or "" for none`})
		case dup:
			errs = append(errs, &comm.OptionError{Option: "http." + e.name, Value: e.path, Allowed: "another path than that of " + other})
		}
		taken[e.path] = e.name
	}
	return errors.Join(errs...)
}

// Address returns the address of [WithAddr], or the host and port that are set, or "" to be served on the manager's
// address; see [comm.Addresser].
func (p *Provider) Address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.settings != nil && p.settings.addr != "" {
		return p.settings.addr
	}
	return conf.Address(p.conf.Host, p.conf.Port)
}

// IdleTimeout is how long a connection of the address is kept between requests; see
// [comm.IdleTimeouter].
func (p *Provider) IdleTimeout() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conf.IdleTimeout
}
