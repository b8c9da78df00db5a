package commquic_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// The variables say which process a test is to be, and at which address.
const (
	roleVariable = "COMM_QUIC_TEST_ROLE"
	addrVariable = "COMM_QUIC_TEST_ADDR"
)

var testKey = [32]byte{1, 2, 3}

// TestProcess is the other process of the tests below. It ends by being killed.
func TestProcess(t *testing.T) {
	addr := os.Getenv(addrVariable)
	switch os.Getenv(roleVariable) {
	case "":
		t.Skip("this is the first process")
	case "server":
		m := gateway(t, commquic.New(commquic.WithAddr(addr), commquic.WithStatelessResetKey(testKey), commquic.WithTokenKey(testKey),
			commquic.WithMaxIdleTimeout(2*patience))) // by which no client learns of its end in time
		addr = addrOf(t, m)
	case "clients":
		for i := range 20 {
			var d comm.Dialer = commquic.Dialer(addr, anybody())
			if i%2 == 1 {
				d = commquic.WebTransportDialer("https://"+addr+"/wt", anybody())
			}
			c, err := d.Dial(t.Context(), helloFrame("g"))
			if err != nil {
				t.Fatal(err)
			}
			if f, err := c.Receive(t.Context()); err != nil || f.Op != comm.OpWelcome {
				t.Fatal(f, err)
			}
		}
	}
	fmt.Println("ready at " + addr)
	<-t.Context().Done()
}

// anybody trusts every server: the certificate is another process's.
func anybody() commquic.SharedOption {
	return commquic.WithTLS(&tls.Config{InsecureSkipVerify: true})
}

// process starts one and waits until it is ready.
func process(t *testing.T, role, addr string) (kill func(), at string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "-test.run=^TestProcess$", "-test.timeout=5m")
	c.Env = append(os.Environ(), roleVariable+"="+role, addrVariable+"="+addr)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = c.Process.Kill(); _ = c.Wait() }
	t.Cleanup(kill)
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if at, ok := strings.CutPrefix(lines.Text(), "ready at "); ok {
			return kill, at
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("the process ended: %q", said)
	return nil, ""
}

// A client's process that is killed (SIGKILL) leaves nothing behind on the server: no connection, no goroutine.
func TestKilledClients(t *testing.T) {
	m := gateway(t, commquic.New(commquic.WithAddr("127.0.0.1:0"), commquic.WithMaxIdleTimeout(4*time.Second), commquic.WithKeepAlivePeriod(300*time.Millisecond)))
	before := settledGoroutines()
	kill, _ := process(t, "clients", addrOf(t, m))
	if n := m.ConnectionCount(comm.ToGroup("g")); n != 20 {
		t.Errorf("%d connections", n)
	}
	kill()
	for i := range 300 { // to clients that are gone
		if _, err := m.Send(t.Context(), comm.ToGroup("g"), message(t, "n", strings.Repeat("x", 1000), comm.WithID(fmt.Sprint(i)))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the connections to end", func() bool { return m.ConnectionCount(comm.ToAll()) == 0 })
	eventually(t, "their goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2+kept() })
}

// A server's process that is killed costs its clients one stateless reset: with the same keys, the next process has
// them back at once, though nothing of the first one's was saved.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	kill, addr := process(t, "server", freePort(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := commquic.Dial(ctx, addr, anybody(), commquic.WithMaxIdleTimeout(2*patience), commquic.WithKeepAlivePeriod(100*time.Millisecond),
		commquic.WithClientOptions(comm.WithClientLogger(slog.New(slog.DiscardHandler))))
	if err != nil {
		t.Fatal(err)
	}
	first := c.Welcome().Conn
	kill()
	process(t, "server", addr)
	said := make(chan error, 1)
	go func() { said <- c.Send(ctx, message(t, "n", strings.Repeat("x", 200))) }()
	eventually(t, "the client to be back", func() bool { w := c.Welcome(); return w.Conn != "" && w.Conn != first })
	cancel()
	<-said
}

// So it does a client that says nothing, although what QUIC sends to keep its connection alive is too small to be answered
// (RFC 9000 10.3).
func TestKilledServerOfQuietClients(t *testing.T) {
	t.Parallel()
	kill, addr := process(t, "server", freePort(t))
	alive := []commquic.DialOption{anybody(), commquic.WithMaxIdleTimeout(2 * patience), commquic.WithKeepAlivePeriod(100 * time.Millisecond)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients []*comm.Client
	var first []string
	for _, d := range []comm.Dialer{commquic.Dialer(addr, alive...), commquic.WebTransportDialer("https://"+addr+"/wt", alive...)} {
		c, err := comm.NewClient([]comm.Dialer{d}, comm.WithBackoff(comm.Backoff{Base: time.Millisecond, Max: 100 * time.Millisecond}))
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan struct{})
		go func() { defer close(ran); _ = c.Run(ctx) }()
		defer func() { cancel(); <-ran }()
		eventually(t, "the client to be welcome", func() bool { return c.State() == comm.ClientConnected })
		clients, first = append(clients, c), append(first, c.Welcome().Conn)
	}
	time.Sleep(2 * time.Second) // a server that is there is not asked
	kill()
	process(t, "server", addr)
	for i, c := range clients {
		eventually(t, "the client to be back", func() bool { return c.State() == comm.ClientConnected && c.Welcome().Conn != first[i] })
	}
}

// freePort is an address that nobody uses now, and that the system gives to no socket by its own choice: one could
// take it while a server is away.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(10_000))
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", addr)
		_ = c.Close()
		if err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return ""
}

// settledGoroutines is how many there are when no more begin: those of a manager that has started may still do so.
func settledGoroutines() int {
	for n := runtime.NumGoroutine(); ; {
		time.Sleep(50 * time.Millisecond)
		now := runtime.NumGoroutine()
		if now == n {
			return n
		}
		n = now
	}
}
