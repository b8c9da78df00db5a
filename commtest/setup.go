package commtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/devcert"
)

// Setup is one fresh provider and what the suite must know of it. Fields that are false or nil
// leave the rows out that they speak of, and the test output says which.
type Setup struct {
	// Provider is not yet registered and has no address of its own, or one with a fixed port: it is stopped and started
	// while its clients return to where they were. Rows that run it in TLS need it to take Host.TLS.
	Provider comm.Provider
	// Dialer makes the provider's client for an endpoint. It is called once for each client.
	Dialer func(e Endpoint) comm.Dialer

	// SendRaw sends bytes in the place of a frame through a carrier that Dialer's dialer has
	// opened, for the rows about invalid JSON and oversize frames.
	SendRaw func(ctx context.Context, c comm.Carrier, data []byte) error
	// Backpressure says that a client that does not call Receive makes the provider's writes wait,
	// so that its outbound queue fills. A carrier that buffers for its client must bound that itself.
	Backpressure bool
	// Verdict says that the provider closes a client that shows no sign of life, with the reason
	// ReasonHeartbeat: a carrier whose clients never speak by themselves cannot.
	Verdict bool
	// OutlivesCuts says that the carrier is made of requests, so that the loss of a network connection
	// is not the end of it.
	OutlivesCuts bool
	// RealTime says that the provider cannot run under testing/synctest: the rows about time are
	// left out, and those in memory run without fake time.
	RealTime bool
	// NeedsTLS says that the provider serves nothing in cleartext, so that every row runs under TLS.
	NeedsTLS bool
	// Without names rows that the carrier cannot keep, each with the reason, which the test output shows. A
	// name that is no row's fails the test.
	Without map[string]string
}

// Endpoint is where a provider is served and how to get there.
type Endpoint struct {
	// Addr is host:port.
	Addr string
	// DialContext opens a connection to Addr, in memory or over a socket. A dialer must use it for
	// every connection it makes.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// ListenPacket opens a packet socket from which Addr is reached, in memory or a real one. A dialer of a
	// provider on packets must use it.
	ListenPacket func(ctx context.Context) (net.PacketConn, error)
	// TLS is the client's configuration; nil means cleartext.
	TLS *tls.Config
}

// URL returns the endpoint as a URL of scheme http or ws, https or wss under TLS.
func (e Endpoint) URL(scheme, path string) string {
	if e.TLS != nil {
		scheme += "s"
	}
	return scheme + "://" + e.Addr + path
}

// Run holds the provider that f makes against the client protocol, as subtests of t: in memory under
// fake time, and on loopback sockets in cleartext, TLS and mTLS. f is called once for each row,
// inside the synctest bubble where there is one.
func Run(t *testing.T, f func(t *testing.T) Setup) {
	t.Run("memory", func(t *testing.T) { runCases(t, f, mode{memory: true}) })
	t.Run("sockets", func(t *testing.T) { runCases(t, f, mode{}) })
	t.Run("tls", func(t *testing.T) { runCases(t, f, mode{tls: true}) })
	t.Run("mtls", func(t *testing.T) { runCases(t, f, mode{tls: true, mutual: true}) })
}

// mode is one way of running the suite.
type mode struct {
	memory bool // no sockets; fake time unless the provider cannot
	tls    bool
	mutual bool
}

// row is one promise.
type row struct {
	name string
	run  func(e *env)
	// timed rows wait for minutes: they need fake time.
	timed bool
	// wire rows differ by how bytes travel, so they run under TLS too.
	wire bool
	// mutual rows are about client certificates.
	mutual bool
	needs  func(s Setup) string // names what the provider lacks, or ""
}

func runCases(t *testing.T, f func(t *testing.T) Setup, m mode) {
	t.Parallel()
	t.Run("known rows", func(t *testing.T) { checkWithout(t, f) })
	for _, r := range suite() {
		switch {
		case r.timed && !m.memory, m.tls && !r.wire, r.mutual && !m.mutual:
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			if m.memory && !fakeTimeImpossible(t, f) {
				synctest.Test(t, func(t *testing.T) { runRow(t, f, m, r) })
				return
			}
			if r.timed {
				t.Skip("needs fake time")
			}
			runRow(t, f, m, r)
		})
	}
}

// checkWithout holds Setup.Without against the rows that there are.
func checkWithout(t *testing.T, f func(t *testing.T) Setup) {
	for name := range f(t).Without {
		if !slices.ContainsFunc(suite(), func(r row) bool { return r.name == name }) {
			t.Errorf("Without names %q, which is no row", name)
		}
	}
}

// probes remembers which setups cannot run in a bubble, by the name of the top-level test.
var probes sync.Map

func fakeTimeImpossible(t *testing.T, f func(t *testing.T) Setup) bool {
	top, _, _ := strings.Cut(t.Name(), "/memory/")
	once, _ := probes.LoadOrStore(top, sync.OnceValue(func() bool { return f(t).RealTime }))
	return once.(func() bool)()
}

func runRow(t *testing.T, f func(t *testing.T) Setup, m mode, r row) {
	s := f(t)
	if why := s.Without[r.name]; why != "" {
		t.Skip(why)
	}
	if r.needs != nil {
		if lack := r.needs(s); lack != "" {
			t.Skip("the provider has no " + lack)
		}
	}
	m.tls = m.tls || s.NeedsTLS
	r.run(newEnv(t, s, m))
}

// suite is every row.
func suite() []row {
	var all []row
	for _, rows := range [][]row{attachRows, targetRows, orderRows, groupRows, authRows, refusalRows, callRows, resumeRows, replayRows, gapRows, lifeRows, clientRows, nodeRows} {
		all = append(all, rows...)
	}
	return all
}

// certificates are made once for a process: keys cost time.
var certificates = sync.OnceValues(func() (*tlsMaterial, error) {
	server, err := devcert.New()
	if err != nil {
		return nil, err
	}
	ca, err := devcert.NewAuthority()
	if err != nil {
		return nil, err
	}
	client, err := ca.Issue("ann")
	return &tlsMaterial{server: server, clients: ca.Pool(), client: client}, err
})

type tlsMaterial struct {
	server  *devcert.Certificate
	clients *x509.CertPool
	client  tls.Certificate
}

// configs returns the two sides' configurations of a mode, nil in cleartext.
func (m mode) configs(t testing.TB) (server, client *tls.Config) {
	if !m.tls {
		return nil, nil
	}
	mat, err := certificates()
	if err != nil {
		t.Fatal(err)
	}
	at := mat.server.TLS.Leaf.NotBefore.Add(2 * time.Hour) // they were made in fake time, or not
	valid := func() time.Time { return at }
	server = &tls.Config{Certificates: []tls.Certificate{mat.server.TLS}, MinVersion: tls.VersionTLS13, Time: valid}
	client = mat.server.Client()
	client.Time = valid
	if m.mutual {
		server.ClientCAs, server.ClientAuth = mat.clients, tls.RequireAndVerifyClientCert
		client.Certificates = []tls.Certificate{mat.client}
	}
	return server, client
}
