package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain plays one case of the interoperability client where a test has started this binary for it.
func TestMain(m *testing.M) {
	if name := os.Getenv(caseVariable); name != "" {
		playCase(name)
		return
	}
	var err error
	if toolFolder, err = os.MkdirTemp("", "comm-e2e-grpc"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(toolFolder)
	os.Exit(code)
}

var toolFolder string // of built tools

// tool builds a tool of this module.
func tool(t *testing.T, pkg string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", toolFolder+"/", pkg).CombinedOutput()
	if err != nil {
		t.Fatal(fmt.Errorf("building %s: %w: %s", pkg, err, out))
	}
	return filepath.Join(toolFolder, filepath.Base(pkg))
}

// selfSigned is TLS with a certificate of this test.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
