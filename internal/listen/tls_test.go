package listen_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/devcert"
	"github.com/anasamu/comm/internal/listen"
)

// write puts a certificate and its key into PEM files.
func write(t *testing.T, cert tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newCert(t *testing.T, hosts ...string) *devcert.Certificate {
	t.Helper()
	c, err := devcert.New(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeyPairReloads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	one, two := newCert(t), newCert(t)
	write(t, one.TLS, certFile, keyFile)

	var log syncBuffer
	pair, err := listen.LoadKeyPair(certFile, keyFile, time.Nanosecond, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := listen.TLS{KeyPairs: []*listen.KeyPair{pair}}.Config()
	if err != nil {
		t.Fatal(err)
	}
	_, addr := serve(t, listen.Config{TLS: conf, Handler: http.HandlerFunc(describe)})
	serves := func(c *devcert.Certificate) {
		t.Helper()
		get(t, client(t, false, c.Client()), "https://"+addr)
	}
	serves(one)

	if err := os.WriteFile(keyFile, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	serves(one)
	serves(one)
	if err := pair.Err(); err == nil || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("Err with a bad key file: %v", err)
	}
	if n := strings.Count(log.String(), "not reloaded"); n != 1 {
		t.Errorf("the failure was logged %d times, want 1:\n%s", n, log.String())
	}
	if err := pair.Reload(); err == nil {
		t.Error("Reload of a bad pair succeeded")
	}

	write(t, two.TLS, certFile, keyFile)
	serves(two)
	if err := pair.Err(); err != nil {
		t.Errorf("Err with good files: %v", err)
	}

	os.Remove(certFile)
	serves(two)
	if err := pair.Err(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Err without a file: %v", err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestKeyPairOnDemandOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	one, two := newCert(t), newCert(t)
	write(t, one.TLS, certFile, keyFile)
	pair, err := listen.LoadKeyPair(certFile, keyFile, -1, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, two.TLS, certFile, keyFile)
	if !pair.Certificate().Leaf.Equal(one.TLS.Leaf) {
		t.Error("reloaded without being asked")
	}
	if err := pair.Reload(); err != nil || !pair.Certificate().Leaf.Equal(two.TLS.Leaf) {
		t.Errorf("not reloaded: %v", err)
	}
	if _, err := listen.LoadKeyPair(filepath.Join(dir, "none"), keyFile, 0, nil); err == nil {
		t.Error("a missing file was accepted at the start")
	}
}

func TestSeveralCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a, b := newCert(t, "a.test"), newCert(t, "b.test")
	write(t, a.TLS, certFile, keyFile)
	pair, err := listen.LoadKeyPair(certFile, keyFile, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := listen.TLS{KeyPairs: []*listen.KeyPair{pair}, Certificates: []tls.Certificate{b.TLS}}.Config()
	if err != nil {
		t.Fatal(err)
	}
	_, addr := serve(t, listen.Config{TLS: conf, Handler: http.HandlerFunc(describe)})
	for name, c := range map[string]*devcert.Certificate{"a.test": a, "b.test": b, "localhost": a} {
		cc := c.Client()
		cc.ServerName = name
		get(t, client(t, false, cc), "https://"+addr)
	}
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	cert := newCert(t)
	ca, err := devcert.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := listen.TLS{Certificates: []tls.Certificate{cert.TLS}, ClientCAs: ca.Pool()}.Config()
	if err != nil {
		t.Fatal(err)
	}
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.TLS.VerifiedChains[0][0].Subject.CommonName)
	})
	for _, claimers := range []int{0, 1} {
		s, addr := serve(t, listen.Config{TLS: conf, Handler: who})
		for range claimers {
			s.ClaimConns(claimMagic)
		}
		alice, err := ca.Issue("alice")
		if err != nil {
			t.Fatal(err)
		}
		cc := cert.Client()
		if resp, err := client(t, true, cc).Get("https://" + addr); err == nil {
			resp.Body.Close()
			t.Error("served without a client certificate")
		}
		eventually(t, func() bool { return s.Stats().HandshakeFailures > 0 })
		cc.Certificates = []tls.Certificate{alice}
		if got := get(t, client(t, true, cc), "https://"+addr); got != "alice" {
			t.Errorf("with %d claimers the handler saw %q, want alice", claimers, got)
		}
	}
}

func TestTLSVersions(t *testing.T) {
	t.Parallel()
	cert := newCert(t)
	for _, tc := range []struct {
		min, clientMax uint16
		ok             bool
	}{
		{0, tls.VersionTLS13, true},
		{0, tls.VersionTLS12, false},
		{tls.VersionTLS12, tls.VersionTLS12, true},
	} {
		conf, err := listen.TLS{Certificates: []tls.Certificate{cert.TLS}, MinVersion: tc.min}.Config()
		if err != nil {
			t.Fatal(err)
		}
		_, addr := serve(t, listen.Config{TLS: conf, Handler: http.HandlerFunc(describe)})
		cc := cert.Client()
		cc.MaxVersion = tc.clientMax
		resp, err := client(t, true, cc).Get("https://" + addr)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != tc.ok {
			t.Errorf("minimum %x, client at most %x: %v, want success %v", tc.min, tc.clientMax, err, tc.ok)
		}
	}
}

func TestTLSErrorsTogether(t *testing.T) {
	t.Parallel()
	_, err := listen.TLS{MinVersion: tls.VersionTLS11}.Config()
	for _, want := range []string{"without a certificate", "TLS 1.1: want TLS 1.2 or TLS 1.3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	if _, err := (listen.TLS{KeyPairs: []*listen.KeyPair{nil}}).Config(); err == nil {
		t.Error("a nil KeyPair was accepted")
	}
}
