package commquic

import (
	"crypto/tls"
	"slices"

	"github.com/anasamu/comm/internal/devcert"
)

// DevelopmentTLS makes a self-signed certificate for development: for localhost, 127.0.0.1, ::1 and the hosts given,
// in memory, good for 13 days. server is for [WithTLS] of a provider and client for that of a dialer, which trusts it
// alone; hash is its SHA-256, for a browser's serverCertificateHashes.
func DevelopmentTLS(hosts ...string) (server, client *tls.Config, hash []byte, err error) {
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h == "" })
	cert, err := devcert.New(hosts...)
	if err != nil {
		return nil, nil, nil, err
	}
	server = &tls.Config{Certificates: []tls.Certificate{cert.TLS}, MinVersion: tls.VersionTLS13}
	return server, cert.Client(), cert.Hash[:], nil
}
