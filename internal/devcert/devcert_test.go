package devcert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/devcert"
	"github.com/anasamu/comm/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestBrowserRequirements checks what serverCertificateHashes demands.
func TestBrowserRequirements(t *testing.T) {
	t.Parallel()
	c, err := devcert.New("gateway.test", "192.0.2.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	leaf := c.TLS.Leaf
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("public key %T, want ECDSA P-256", leaf.PublicKey)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 13*24*time.Hour {
		t.Errorf("valid for %v, want at most 13 days", life)
	}
	if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		t.Errorf("not valid now: %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	if c.Hash != sha256.Sum256(leaf.Raw) {
		t.Error("Hash is not the certificate's SHA-256")
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "gateway.test", "192.0.2.1"} {
		if err := leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if err := leaf.VerifyHostname("example.com"); err == nil {
		t.Error("valid for example.com")
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	server, err := devcert.New()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := devcert.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := devcert.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		by   *devcert.Authority
		ok   bool
	}{{"issued", ca, true}, {"by a stranger", stranger, false}, {"none", nil, false}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			client := server.Client()
			client.ServerName = "localhost"
			if tc.by != nil {
				cert, err := tc.by.Issue("alice")
				if err != nil {
					t.Fatal(err)
				}
				client.Certificates = []tls.Certificate{cert}
			}
			state, err := handshake(t, client, &tls.Config{
				Certificates: []tls.Certificate{server.TLS},
				ClientCAs:    ca.Pool(),
				ClientAuth:   tls.RequireAndVerifyClientCert,
			})
			if (err == nil) != tc.ok {
				t.Fatalf("handshake: %v, want success %v", err, tc.ok)
			}
			if tc.ok && state.VerifiedChains[0][0].Subject.CommonName != "alice" {
				t.Errorf("verified as %q", state.VerifiedChains[0][0].Subject)
			}
		})
	}
}

func handshake(t *testing.T, client, server *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		c := tls.Client(a, client)
		if c.Handshake() == nil {
			c.Read(make([]byte, 1)) // until the server closes
		}
	}()
	s := tls.Server(b, server)
	err := s.Handshake()
	state := s.ConnectionState()
	b.Close()
	<-done
	return state, err
}
