package sse

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// ProviderOption is a setting of [New]. WithHeartbeat, WithRetry and WithHijack are provider options too.
type ProviderOption interface{ applyProvider(*Provider) error }

type providerOption func(*Provider) error

func (o providerOption) applyProvider(p *Provider) error { return o(p) }

// WithPath sets where clients connect. The default is /events.
func WithPath(path string) ProviderOption {
	return providerOption(func(p *Provider) error { p.conf.Path = path; return nil })
}

// WithAddr gives the provider an address of its own, host:port, where an empty host is every interface
// and port 0 a free one. The default is the manager's address.
func WithAddr(addr string) ProviderOption {
	return providerOption(func(p *Provider) error {
		host, port, err := net.SplitHostPort(addr)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err != nil || err2 != nil {
			return fmt.Errorf("sse: WithAddr(%q): host:port with a port of 0 to 65535 is needed", addr)
		}
		p.addr, p.conf.Host, p.conf.Port = addr, host, int(n)
		return nil
	})
}

// WithMaxConnections bounds the streams of the provider; beyond it clients are answered 503 with
// Retry-After. The default leaves it to the manager's limits.
func WithMaxConnections(n int) ProviderOption {
	return providerOption(func(p *Provider) error {
		if n <= 0 {
			return fmt.Errorf("sse: WithMaxConnections(%d): 1 or more is allowed", n)
		}
		p.conf.MaxConnections = n
		return nil
	})
}

// TLSOption is an option of both [New] and [Dialer].
type TLSOption interface {
	ProviderOption
	DialOption
}

// WithTLS sets the TLS configuration: of a provider's own address, or of a dialer's connections. It is
// cloned. The defaults are the manager's and that of net/http.
func WithTLS(c *tls.Config) TLSOption { return tlsOption{c} }

type tlsOption struct{ conf *tls.Config }

func (o tlsOption) clone() (*tls.Config, error) {
	if o.conf == nil {
		return nil, errors.New("sse: WithTLS(nil): a configuration is needed")
	}
	return o.conf.Clone(), nil
}

func (o tlsOption) applyProvider(p *Provider) (err error) { p.tls, err = o.clone(); return err }
func (o tlsOption) applyDial(c *dialConfig) (err error)   { c.tls, err = o.clone(); return err }
