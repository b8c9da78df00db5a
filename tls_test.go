package comm_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/devcert"
	"github.com/anasamu/comm/sse"
)

// secure is a started gateway in memory whose provider tells of each request over what it came.
func secure(t *testing.T, opts ...comm.Option) *comm.Manager {
	t.Helper()
	m := newManager(t, append(opts, comm.WithProvider(commhttp.New(commhttp.HandleFunc("GET /how", how))))...)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func how(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		fmt.Fprint(w, r.Proto, " in the clear")
		return
	}
	fmt.Fprintf(w, "%s %q %s", r.Proto, r.TLS.NegotiatedProtocol, tls.VersionName(r.TLS.Version))
}

// tlsClient reaches the manager in memory, by HTTP/1.1 or by what ALPN agrees on.
func tlsClient(t *testing.T, m *comm.Manager, conf *tls.Config, h2 bool) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: m.DialContext, TLSClientConfig: conf.Clone(), Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(true)
	tr.Protocols.SetHTTP2(h2)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// handshake is a TLS handshake with the manager's address, and nothing behind it.
func handshake(t *testing.T, m *comm.Manager, conf *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	raw, err := m.DialContext(t.Context(), "tcp", "localhost:443")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conf = conf.Clone()
	conf.ServerName = "localhost"
	c := tls.Client(raw, conf)
	err = c.HandshakeContext(t.Context())
	if err == nil { // with TLS 1.3 the server's word about the client's certificate comes later
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err = c.Read(make([]byte, 1)); err != nil && strings.Contains(err.Error(), "timeout") {
			err = nil
		}
	}
	return c.ConnectionState(), err
}

func TestDevelopmentCertificate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := secure(t, comm.WithDevelopmentCertificate())
		client, hash := m.DevelopmentCertificate()
		for h2, want := range map[bool]string{true: `HTTP/2.0 "h2" TLS 1.3`, false: `HTTP/1.1 "" TLS 1.3`} {
			same(t, "over", get(t, tlsClient(t, m, client, h2), "https://localhost/how").body, want)
		}
		state, err := handshake(t, m, client)
		if err != nil {
			t.Fatal(err)
		}
		leaf := state.PeerCertificates[0]
		sum := sha256.Sum256(leaf.Raw)
		same(t, "hash", hash, sum[:])
		if err := leaf.VerifyHostname("127.0.0.1"); err != nil || leaf.NotAfter.Sub(leaf.NotBefore) > 14*24*time.Hour {
			t.Errorf("%v, good from %v to %v: browsers want 14 days at most", err, leaf.NotBefore, leaf.NotAfter)
		}
		if _, err := handshake(t, m, &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
			t.Error("a client that does not know the certificate trusts it")
		}
		features, _ := m.Features("http")
		same(t, "feature", slices.Contains(features, comm.FeatureHTTPS), true)
		if conf, hash := secure(t).DevelopmentCertificate(); conf != nil || hash != nil {
			t.Error("a certificate without the option")
		}
	})
}

func TestTLSVersions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, lowered := range []bool{false, true} {
			opts := []comm.Option{comm.WithDevelopmentCertificate()}
			if lowered {
				opts = append(opts, comm.WithTLS12())
			}
			m := secure(t, opts...)
			client, _ := m.DevelopmentCertificate()
			client.MaxVersion = tls.VersionTLS12
			if _, err := handshake(t, m, client); (err == nil) != lowered {
				t.Errorf("TLS 1.2 with the minimum lowered %v: %v", lowered, err)
			}
			client.MaxVersion, client.MinVersion = tls.VersionTLS11, tls.VersionTLS10
			if _, err := handshake(t, m, client); err == nil {
				t.Error("TLS 1.1 was spoken")
			}
		}
	})
}

// A configuration of the user's own gets the protocols that it lacks, and stays as it is.
func TestWithTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cert, err := devcert.New()
		if err != nil {
			t.Fatal(err)
		}
		conf := &tls.Config{Certificates: []tls.Certificate{cert.TLS}, NextProtos: []string{"acme-tls/1"}}
		m := secure(t, comm.WithTLS(conf))
		same(t, "the user's configuration", conf.NextProtos, []string{"acme-tls/1"})
		client := cert.Client()
		for _, proto := range []string{"h2", "http/1.1", "acme-tls/1"} {
			client.NextProtos = []string{proto}
			state, _ := handshake(t, m, client)
			same(t, "agreed", state.NegotiatedProtocol, proto)
		}
		client.NextProtos = nil
		same(t, "over", get(t, tlsClient(t, m, client, true), "https://localhost/how").body, `HTTP/2.0 "h2" TLS 1.3`)
	})
}

// store writes a certificate and its key as PEM files that look changed at that time.
func store(t *testing.T, cert *devcert.Certificate, dir string, at time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.TLS.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert.TLS.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// A certificate that is renewed on disk is served within a second, with nothing restarted: connections
// that stand go on, and files that are broken change nothing.
func TestCertificateReload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var certs []*devcert.Certificate
		trust := &tls.Config{RootCAs: x509.NewCertPool()}
		for range 2 {
			cert, err := devcert.New()
			if err != nil {
				t.Fatal(err)
			}
			certs = append(certs, cert)
			trust.RootCAs.AddCert(cert.TLS.Leaf)
		}
		dir, written := t.TempDir(), time.Now()
		certFile, keyFile := store(t, certs[0], dir, written)
		m := secure(t, comm.WithCertificate(certFile, keyFile))
		served := func() int {
			state, err := handshake(t, m, trust)
			if err != nil {
				t.Fatal(err)
			}
			return slices.IndexFunc(certs, func(c *devcert.Certificate) bool { return c.TLS.Leaf.Equal(state.PeerCertificates[0]) })
		}
		standing := tlsClient(t, m, trust, true)
		get(t, standing, "https://localhost/how")
		same(t, "at first", served(), 0)
		store(t, certs[1], dir, written.Add(time.Minute))
		time.Sleep(1100 * time.Millisecond)
		same(t, "renewed", served(), 1)
		same(t, "a connection from before", get(t, standing, "https://localhost/how").status, 200)
		if err := os.WriteFile(certFile, []byte("half a cert"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		same(t, "after a bad renewal", served(), 1)
	})
}

// Given several times, the certificate is that of the server name.
func TestCertificateByName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var opts []comm.Option
		pool := x509.NewCertPool()
		for _, host := range []string{"a.example", "b.example"} {
			cert, err := devcert.New(host)
			if err != nil {
				t.Fatal(err)
			}
			pool.AddCert(cert.TLS.Leaf)
			opts = append(opts, comm.WithCertificate(store(t, cert, t.TempDir(), time.Now())))
		}
		m := secure(t, opts...)
		for _, host := range []string{"a.example", "b.example"} {
			same(t, host, get(t, tlsClient(t, m, &tls.Config{RootCAs: pool}, true), "https://"+host+"/how").status, 200)
		}
		if _, err := tryGet(t, tlsClient(t, m, &tls.Config{RootCAs: pool}, true), "https://c.example/how"); err == nil {
			t.Error("a name without a certificate")
		}
	})
}

// Under mTLS the handshake fails without a certificate of the right authority, and the authenticator
// sees the one that passed.
func TestMutualTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ours, err := devcert.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := devcert.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		p := sse.New()
		m := secure(t, comm.WithDevelopmentCertificate(), comm.WithClientCAs(ours.Pool()), comm.WithProvider(p),
			comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
				leaf := hs.TLS.VerifiedChains[0][0]
				seen = append(seen, hs.Provider()+" "+leaf.Subject.CommonName)
				return comm.Identity{User: hs.TLS.PeerCertificates[0].Subject.CommonName}, nil
			}))
		for name, row := range map[string]struct {
			by *devcert.Authority
			ok bool
		}{"ann": {ours, true}, "eve": {theirs, false}, "nobody": {nil, false}} {
			client, _ := m.DevelopmentCertificate()
			if row.by != nil {
				cert, err := row.by.Issue(name)
				if err != nil {
					t.Fatal(err)
				}
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
			}
			for _, h2 := range []bool{true, false} {
				resp, err := tlsClient(t, m, client, h2).Get("https://localhost/events")
				if (err == nil) != row.ok {
					t.Fatalf("%s, h2 %v: %v", name, h2, err)
				}
				if err != nil {
					continue
				}
				ev, err := sse.NewDecoder(resp.Body).Next()
				if err != nil {
					t.Fatal(err)
				}
				contains(t, fmt.Errorf("%s", ev.Data), `"user":"`+name+`"`)
				resp.Body.Close()
			}
		}
		same(t, "seen", seen, []string{"sse ann", "sse ann"})
	})
}

// Who speaks HTTP in the clear to the TLS address is told so, in HTTP.
func TestPlainHTTPToTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := secure(t, comm.WithDevelopmentCertificate())
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			r, _ := http.NewRequestWithContext(t.Context(), method, "http://localhost/how", nil)
			resp, err := httpClient(m).Do(r)
			if err != nil {
				t.Fatal(method, err)
			}
			resp.Body.Close()
			same(t, method, resp.StatusCode, http.StatusBadRequest)
		}
		client, _ := m.DevelopmentCertificate()
		same(t, "others go on", get(t, tlsClient(t, m, client, true), "https://localhost/how").status, 200)
		resp, err := m.HandleRequest(t.Context(), "", must(http.NewRequest("GET", "/how", nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		same(t, "in process there is no TLS", resp.StatusCode, 200)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// One address has one TLS configuration; a provider that brings another is refused, one with an
// address of its own is served with its own.
func TestTLSOfAProvider(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cert, err := devcert.New()
		if err != nil {
			t.Fatal(err)
		}
		conf := &tls.Config{Certificates: []tls.Certificate{cert.TLS}}
		own := &fake{name: "own", addr: "127.0.0.1:8443", tls: conf}
		bad := &fake{name: "bad", addr: "127.0.0.1:8080", tls: conf}
		m := newManager(t, comm.WithAddr("127.0.0.1:8080"), comm.WithProvider(&fake{name: "clear"}, own, bad), comm.WithRetry(0, time.Second))
		contains(t, m.Start(t.Context()), `provider "bad"`, "WithTLS", "127.0.0.1:8080")
		same(t, "running", []bool{m.Running("clear"), m.Running("own")}, []bool{true, true})
		same(t, "in the clear", get(t, httpClient(m), "http://127.0.0.1:8080/clear").body, "clear")
		same(t, "with TLS", get(t, tlsClient(t, m, cert.Client(), false), "https://"+net.JoinHostPort("127.0.0.1", "8443")+"/own").body, "own")
	})
}
