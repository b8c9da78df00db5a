package commgrpc

import (
	"crypto/tls"
	"slices"
)

// TLSOption is for [New] and [Dialer].
type TLSOption interface {
	Option
	DialOption
}

// WithTLS sets the TLS configuration: of a provider's own address, or of a dialer's connections. It is cloned. The
// defaults are the manager's, and cleartext. With ClientAuth and ClientCAs a provider asks clients for a certificate,
// which authenticators find in Handshake.TLS.
func WithTLS(conf *tls.Config) TLSOption { return tlsOption{conf} }

type tlsOption struct{ conf *tls.Config }

func (o tlsOption) apply(p *Provider) error {
	if o.conf == nil {
		return refuse("WithTLS", nil, "a configuration")
	}
	p.tls = o.conf.Clone()
	for _, proto := range []string{"h2", "http/1.1"} {
		if !slices.Contains(p.tls.NextProtos, proto) {
			p.tls.NextProtos = append(p.tls.NextProtos, proto)
		}
	}
	return nil
}

func (o tlsOption) applyDial(d *dialer) error {
	if o.conf == nil {
		return refuse("WithTLS", nil, "a configuration")
	}
	d.tls = o.conf.Clone()
	return nil
}
