// Package devcert makes TLS certificates in memory for development and tests.
//
// A certificate made here is its own root: hand Pool to a client, or Hash to a browser's
// WebTransport constructor. Nothing is written to disk, and a new process has a new one.
package devcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// Validity is how long a certificate is good for. Browsers accept a certificate by its
// hash only if it lives at most 14 days (WebTransport, section 5.7, "custom certificate
// requirements"); a day is left for clocks that differ.
const Validity = 13 * 24 * time.Hour

// backdate is how far a certificate's life begins in the past, for the same clocks.
const backdate = time.Hour

// Certificate is a self-signed ECDSA P-256 server certificate with its key.
// It is immutable and safe for concurrent use.
type Certificate struct {
	// TLS is ready for tls.Config.Certificates.
	TLS tls.Certificate
	// Hash is the SHA-256 of the DER certificate: the value of WebTransport's
	// serverCertificateHashes.
	Hash [sha256.Size]byte
}

// New makes a certificate for localhost, 127.0.0.1, ::1 and the further hosts given,
// names or IP addresses.
func New(hosts ...string) (*Certificate, error) {
	tmpl := template("comm development")
	tmpl.DNSNames = []string{"localhost"}
	tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else if !slices.Contains(tmpl.DNSNames, h) {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	cert, err := sign(tmpl, tmpl, nil)
	if err != nil {
		return nil, err
	}
	return &Certificate{TLS: cert, Hash: sha256.Sum256(cert.Certificate[0])}, nil
}

// Pool returns a new pool that trusts the certificate, for tls.Config.RootCAs.
func (c *Certificate) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.TLS.Leaf)
	return pool
}

// Client returns a client configuration that trusts the certificate alone.
func (c *Certificate) Client() *tls.Config {
	return &tls.Config{RootCAs: c.Pool(), MinVersion: tls.VersionTLS12}
}

// Authority issues client certificates for tests of mutual TLS.
// It is immutable and safe for concurrent use.
type Authority struct{ cert tls.Certificate }

// NewAuthority makes an authority with its own root.
func NewAuthority() (*Authority, error) {
	tmpl := template("comm development clients")
	tmpl.IsCA = true
	tmpl.MaxPathLenZero = true
	tmpl.KeyUsage = x509.KeyUsageCertSign
	cert, err := sign(tmpl, tmpl, nil)
	if err != nil {
		return nil, err
	}
	return &Authority{cert}, nil
}

// Pool returns a new pool that trusts the authority, for tls.Config.ClientCAs.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert.Leaf)
	return pool
}

// Issue makes a client certificate whose subject has the common name given.
func (a *Authority) Issue(commonName string) (tls.Certificate, error) {
	tmpl := template(commonName)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return sign(tmpl, a.cert.Leaf, a.cert.PrivateKey.(*ecdsa.PrivateKey))
}

func template(commonName string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(Validity - backdate),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

// sign makes a key for tmpl and signs it with the parent's, or with the new key itself
// when signer is nil.
func sign(tmpl, parent *x509.Certificate, signer *ecdsa.PrivateKey) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("devcert: %w", err)
	}
	if signer == nil {
		signer = key
	}
	tmpl.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("devcert: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("devcert: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("devcert: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
