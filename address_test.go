package comm_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// relation is what becomes of two addresses with one port.
type relation int

const (
	apart   relation = iota // two listeners
	shared                  // one listener
	refused                 // an error that names both
)

// spellings are ways to write an address; those of one class mean the same one.
var spellings = []struct{ format, class string }{
	{":%d", "every"},
	{"0.0.0.0:%d", "every"},
	{"[::]:%d", "every"},
	{"localhost:%d", "127.0.0.1"},
	{"127.0.0.1:%d", "127.0.0.1"},
	{"127.0.0.2:%d", "127.0.0.2"},
}

func related(a, b string) relation {
	switch {
	case a == b:
		return shared
	case a == "every" || b == "every":
		return refused
	}
	return apart
}

// freePort is a port that nobody listens on just now, on any address.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// onSockets starts two providers at two addresses of one free port. Somebody else may take the port
// meanwhile, so it tries again.
func onSockets(t *testing.T, first, second string) (m *comm.Manager, port int, err error) {
	t.Helper()
	for range 5 {
		port = freePort(t)
		m, err = comm.New(comm.WithAddr(fmt.Sprintf(first, port)), comm.WithRetry(0, time.Second),
			comm.WithProvider(&fake{name: "first"}, &fake{name: "second", addr: fmt.Sprintf(second, port)}))
		if err != nil {
			t.Fatal(err)
		}
		if err = m.Start(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		m.Close()
	}
	t.Cleanup(func() { m.Close() })
	return m, port, err
}

// Two addresses with one port are one listener where they mean the same, an error where they only
// overlap, and two listeners where they do not: never two that take clients from each other.
func TestAddressesOverlap(t *testing.T) {
	for _, a := range spellings {
		for _, b := range spellings {
			t.Run(fmt.Sprintf(a.format+" "+b.format, 1, 1), func(t *testing.T) {
				t.Parallel()
				m, port, err := onSockets(t, a.format, b.format)
				if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
					t.Skip("this machine lacks one of the addresses: ", err)
				}
				if related(a.class, b.class) == refused {
					contains(t, err, `provider "second"`, fmt.Sprintf(a.format, port), fmt.Sprintf(b.format, port), "overlap")
					same(t, "running", []bool{m.Running("first"), m.Running("second")}, []bool{true, false})
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				host := func(class string) string { return strings.Replace(class, "every", "127.0.0.1", 1) }
				status := map[bool]int{true: 200, false: 404}[related(a.class, b.class) == shared]
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				for path, want := range map[string]int{"/first": 200, "/second": status} {
					same(t, path+" at the first", get(t, client, fmt.Sprintf("http://%s:%d%s", host(a.class), port, path)).status, want)
				}
				for path, want := range map[string]int{"/first": status, "/second": 200} {
					same(t, path+" at the second", get(t, client, fmt.Sprintf("http://%s:%d%s", host(b.class), port, path)).status, want)
				}
			})
		}
	}
}

// In memory these spellings of this machine are one place: whoever writes it as the first did shares
// it, whoever writes it otherwise is refused.
func TestAddressesOverlapInMemory(t *testing.T) {
	for _, a := range spellings[:5] {
		for _, b := range spellings[:5] {
			t.Run(fmt.Sprintf(a.format+" "+b.format, 1, 1), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					m := newManager(t, comm.WithAddr(fmt.Sprintf(a.format, 8080)), comm.WithRetry(0, time.Second),
						comm.WithProvider(&fake{name: "first"}, &fake{name: "second", addr: fmt.Sprintf(b.format, 8080)}))
					err := m.Start(t.Context())
					if a == b {
						same(t, "error", err, nil)
						same(t, "status", get(t, httpClient(m), "http://gateway/second").status, 200)
						return
					}
					if !errors.Is(err, syscall.EADDRINUSE) {
						t.Errorf("a second listener: %v", err)
					}
				})
			})
		}
	}
}

// Port 0 is a port of one's own, told by Addrs; providers on the manager's address share its.
func TestPortZero(t *testing.T) {
	t.Parallel()
	own := []string{":0", "127.0.0.1:0", "localhost:0", "0.0.0.0:0"}
	providers := []comm.Provider{&fake{name: "main"}, &fake{name: "beside"}}
	for i, addr := range own[1:] {
		providers = append(providers, &fake{name: fmt.Sprint("own", i), addr: addr})
	}
	m, err := comm.New(comm.WithAddr(own[0]), comm.WithProvider(providers...))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "as configured", m.Addr(), ":0")
	same(t, "the manager's", realAddr(t, m, "beside"), realAddr(t, m, "main"))
	var ports []string
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, p := range providers[1:] {
		_, port, err := net.SplitHostPort(realAddr(t, m, p.Name()))
		if err != nil || port == "0" || slices.Contains(ports, port) {
			t.Errorf("%s: port %q beside %q, %v", p.Name(), port, ports, err)
		}
		ports = append(ports, port)
		same(t, p.Name(), get(t, client, "http://127.0.0.1:"+port+"/"+p.Name()).body, p.Name())
	}
}

// An address that cannot be is an error of the start that says what is wrong with it.
func TestBadAddresses(t *testing.T) {
	t.Parallel()
	for addr, part := range map[string]string{
		"nonsense":         "host:port",
		"127.0.0.1:99999":  "0 to 65535",
		"127.0.0.1:nobody": "port",
		"192.0.2.1:0":      "assign", // not of this machine
	} {
		m, err := comm.New(comm.WithAddr(addr), comm.WithProvider(&fake{}), comm.WithRetry(0, time.Second))
		if err == nil {
			err = m.Start(t.Context())
			m.Close()
		}
		contains(t, err, addr, part)
	}
}

// The port is free once the last provider of an address has stopped, and not before.
func TestAddressIsGivenBack(t *testing.T) {
	t.Parallel()
	m, err := comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithProvider(&fake{name: "a"}, &fake{name: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr := realAddr(t, m, "a")
	for i, name := range []string{"a", "b"} {
		if err := m.Stop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", addr)
		if free := err == nil; free != (i == 1) {
			t.Errorf("after %s has stopped: free %v, %v", name, free, err)
		}
		if l != nil {
			l.Close()
		}
	}
}

// A manager in memory takes addresses that others hold, and nobody reaches it from outside; one with
// sockets is reached in memory too.
func TestInMemoryOpensNoSocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	f := &fake{addr: addr}
	m := newManager(t, comm.WithProvider(f))
	if err := m.Start(t.Context()); err != nil {
		t.Fatalf("a socket was opened: %v", err)
	}
	for _, network := range []string{"tcp", "udp"} {
		if network == "tcp" {
			_, err = f.host().Listen(t.Context(), network, "localhost:"+fmt.Sprint(l.Addr().(*net.TCPAddr).Port+1))
		} else {
			_, err = f.host().ListenPacket(t.Context(), network, addr)
		}
		if err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
	l.Close()
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		c.Close()
		t.Error("reached from outside")
	}
	for _, host := range []string{addr, "gateway", "anything.example:443"} {
		same(t, host, get(t, httpClient(m), "http://"+host+"/fake").body, "fake")
	}
}

func TestDialContextBesideSockets(t *testing.T) {
	t.Parallel()
	m, err := comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithProvider(&fake{}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.DialContext(t.Context(), "tcp", "gateway:80"); err == nil {
		t.Error("connected before the start")
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, socket := c.(*net.TCPConn); socket {
		t.Error("a socket was used")
	}
	same(t, "in memory", get(t, httpClient(m), "http://gateway/fake").body, "fake")
	same(t, "through the socket", get(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+realAddr(t, m, "fake")+"/fake").body, "fake")
}

// realAddr is the one bound address of a provider.
func realAddr(t testing.TB, m *comm.Manager, provider string) string {
	t.Helper()
	addrs, err := m.Addrs(provider)
	if err != nil || len(addrs) != 1 {
		t.Fatalf("addresses %q, %v", addrs, err)
	}
	return addrs[0]
}
