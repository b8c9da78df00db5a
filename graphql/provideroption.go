package graphql

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// providerOption is an option of New alone.
type providerOption func(*Provider) error

func (o providerOption) applyProvider(p *Provider) { p.ownOpts = append(p.ownOpts, o) }

// WithPath sets where clients send their requests. The default is /graphql.
func WithPath(path string) Option {
	return providerOption(func(p *Provider) error { p.conf.Path = path; return nil })
}

// WithAddr gives the provider an address of its own, host:port, where an empty host is every interface
// and port 0 a free one. The default is the manager's address.
func WithAddr(addr string) Option {
	return providerOption(func(p *Provider) error {
		host, port, err := net.SplitHostPort(addr)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err != nil || err2 != nil {
			return fmt.Errorf("graphql: WithAddr(%q): host:port with a port of 0 to 65535 is needed", addr)
		}
		p.addr, p.conf.Host, p.conf.Port = addr, host, int(n)
		return nil
	})
}

// WithTLS sets the TLS configuration of the provider's own address. It is cloned. The default is the
// manager's.
func WithTLS(c *tls.Config) Option {
	return providerOption(func(p *Provider) error {
		if c == nil {
			return errors.New("graphql: WithTLS(nil): a configuration is needed")
		}
		p.tls = c.Clone()
		return nil
	})
}

// WithHost and [WithPort] set the provider's own address in two parts, as a configuration file does. Without
// both it is served on the manager's.
func WithHost(host string) Option {
	return providerOption(func(p *Provider) error { p.conf.Host = host; return nil })
}

// WithPort sets the port of the provider's own address, 0 to 65535; see [WithHost].
func WithPort(port int) Option {
	return providerOption(func(p *Provider) error {
		if port < 0 || port > 65535 {
			return fmt.Errorf("graphql: WithPort(%d): a port of 0 to 65535 is allowed", port)
		}
		p.conf.Port = port
		return nil
	})
}

// WithEnableIntrospection is [WithIntrospection] by the name of its configuration key.
func WithEnableIntrospection(on bool) Option {
	return providerOption(func(p *Provider) error { p.conf.EnableIntrospection = on; return nil })
}
