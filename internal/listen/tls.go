package listen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// TLS says how a server authenticates itself and its clients. Config turns it into a
// configuration with today's defaults. Changing it afterwards has no effect.
type TLS struct {
	// Certificates are served as they are.
	Certificates []tls.Certificate
	// KeyPairs are served and reloaded when their files change.
	KeyPairs []*KeyPair
	// ClientCAs, if set, makes client certificates required and verified (mutual TLS).
	ClientCAs *x509.CertPool
	// MinVersion is the lowest version accepted. Zero means TLS 1.3; TLS 1.2 may be named
	// for old clients, nothing below it.
	MinVersion uint16
	// NextProtos are the ALPN protocols in order of preference. Nil means h2, http/1.1.
	NextProtos []string
}

// Config checks the settings and builds the configuration. All bad ones are reported together.
func (t TLS) Config() (*tls.Config, error) {
	var errs []error
	if len(t.Certificates) == 0 && len(t.KeyPairs) == 0 {
		errs = append(errs, errors.New("listen: TLS without a certificate: give Certificates or KeyPairs"))
	}
	if slices.Contains(t.KeyPairs, nil) {
		errs = append(errs, errors.New("listen: TLS with a nil KeyPair"))
	}
	switch t.MinVersion {
	case 0, tls.VersionTLS12, tls.VersionTLS13:
	default:
		errs = append(errs, fmt.Errorf("listen: TLS MinVersion %s: want TLS 1.2 or TLS 1.3", tls.VersionName(t.MinVersion)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c := &tls.Config{
		Certificates: slices.Clone(t.Certificates),
		MinVersion:   max(t.MinVersion, tls.VersionTLS12),
		NextProtos:   slices.Clone(t.NextProtos),
	}
	if t.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS13
	}
	if t.NextProtos == nil {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	if t.ClientCAs != nil {
		c.ClientCAs = t.ClientCAs
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if pairs := slices.Clone(t.KeyPairs); len(pairs) > 0 {
		c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return choose(pairs, c.Certificates, hello), nil
		}
	}
	return c, nil
}

// choose picks the first certificate that suits the client, as crypto/tls does for
// Config.Certificates. If none does it picks the first, and the client decides.
func choose(pairs []*KeyPair, fixed []tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	var first *tls.Certificate
	for _, p := range pairs {
		cert := p.Certificate()
		if hello.SupportsCertificate(cert) == nil {
			return cert
		}
		if first == nil {
			first = cert
		}
	}
	for i := range fixed {
		if hello.SupportsCertificate(&fixed[i]) == nil {
			return &fixed[i]
		}
	}
	return first
}
