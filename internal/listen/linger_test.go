package listen_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

// starved is a client's connection whose reader does not run while gate is held, as on a machine that has no
// time for it.
type starved struct {
	*net.TCPConn
	gate *sync.RWMutex
}

func (c *starved) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.gate.RLock()
	defer c.gate.RUnlock()
	return n, err
}

// starving makes an HTTP/2 client whose connections are starved by gate, over TLS if conf is set. The system
// takes no more than about buffer for it.
func starving(t *testing.T, conf *tls.Config, gate *sync.RWMutex, buffer int) *http.Client {
	t.Helper()
	c := client(t, true, conf)
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tcp := conn.(*net.TCPConn)
		return &starved{tcp, gate}, tcp.SetReadBuffer(buffer)
	}
	return c
}

// needsSeconds skips a test of what needs a second descriptor of a socket, which Windows and Plan 9 do not give.
func needsSeconds(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("there are no second descriptors of sockets")
	}
}

// abandoned waits until net/http's second is over, and more.
func abandoned() { time.Sleep(1500 * time.Millisecond) }

// A client has read neither its answer, nor the GOAWAY behind it, when net/http closes the connection, and sends
// more on it: the answer comes, and what was sent in vain is known to be.
func TestDrainOfAStarvedClient(t *testing.T) {
	t.Parallel()
	needsSeconds(t)
	serverConf, clientConf := serverTLS(t)
	for _, tc := range []struct {
		name     string
		tls      bool
		claimers int
	}{{"cleartext", false, 0}, {"cleartext claimers", false, 1}, {"tls", true, 0}, {"tls claimers", true, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			x := &crossing{release: make(chan struct{})}
			cfg, conf, scheme := patient(x), (*tls.Config)(nil), "http://"
			if tc.tls {
				cfg.TLS, conf, scheme = serverConf, clientConf, "https://"
			}
			s, addr := serve(t, cfg)
			for range tc.claimers {
				s.ClaimConns(claimMagic)
			}
			x.url = scheme + addr
			var gate sync.RWMutex
			c := starving(t, conf, &gate, 1<<20)
			var clients sync.WaitGroup
			clients.Go(func() {
				if got, err := x.post(c, x.url+"/held", "held", true); err != nil || got != "held" {
					t.Errorf("the request under way: %q, %v", got, err)
				}
			})
			eventually(t, func() bool { return x.held.Load() == 1 })
			gate.Lock()
			drained := make(chan error, 1)
			go func() { drained <- s.Shutdown(t.Context()) }()
			eventually(t, func() bool { return s.Health() != nil })
			close(x.release)
			abandoned()
			for range 5 {
				clients.Go(func() {
					_, err := x.post(c, x.url+"/next", string(make([]byte, 50<<10)), true)
					if !errors.Is(err, syscall.ECONNREFUSED) {
						t.Errorf("a request that came too late: %v, want it refused at the door", err)
					}
				})
			}
			time.Sleep(50 * time.Millisecond) // they write
			gate.Unlock()
			clients.Wait()
			if err := <-drained; err != nil {
				t.Error(err)
			}
			if n := s.Held(); n != 0 {
				t.Errorf("%d connections are held after the drain", n)
			}
		})
	}
}

// A client reads slowly, of a long answer of which the server's system still has the most when all is written, and
// tells the server meanwhile how far it is.
func TestDrainOfASlowReader(t *testing.T) {
	t.Parallel()
	needsSeconds(t)
	answer := bytes.Repeat([]byte("answer"), 300<<10)
	release := make(chan struct{})
	s, addr := serve(t, listen.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-release
		w.Write(answer)
	})})
	var gate sync.RWMutex
	resp, err := starving(t, nil, &gate, 32<<10).Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	gate.Lock()
	drained := make(chan error, 1)
	go func() { drained <- s.Shutdown(t.Context()) }()
	eventually(t, func() bool { return s.Held() == 1 })
	close(release)
	abandoned()
	gate.Unlock()
	if got, err := io.ReadAll(resp.Body); !bytes.Equal(got, answer) || err != nil {
		t.Errorf("%d of %d bytes came: %v", len(got), len(answer), err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// Close does not wait for a client whose connection lingers.
func TestCloseCutsWhatLingers(t *testing.T) {
	t.Parallel()
	needsSeconds(t)
	s, addr := serve(t, listen.Config{})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var client sync.WaitGroup
	client.Go(func() { // says hello, and then pings, whatever it is told
		const settings, ping = "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x08\x06\x00\x00\x00\x00\x00pingping"
		_, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+settings)
		for err == nil {
			time.Sleep(10 * time.Millisecond)
			_, err = io.WriteString(c, ping)
		}
	})
	c.Read(make([]byte, 1)) // the server's settings
	drained := make(chan error, 1)
	go func() { drained <- s.Shutdown(t.Context()) }()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the client read %v, want all there was and the end", err)
	}
	select {
	case err := <-drained:
		t.Errorf("Shutdown does not wait for a client that still sends: %v", err)
	default:
	}
	start := time.Now()
	s.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("Close took %v", took)
	}
	client.Wait()
}

// A connection lingers until its client closes it, or for as long as it may.
func TestReadOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		peer func(c net.Conn)
		want time.Duration
	}{
		"closes":    {func(c net.Conn) { c.Close() }, 0},
		"is silent": {func(net.Conn) {}, 5 * time.Second},
		"closes late": {func(c net.Conn) {
			time.Sleep(4 * time.Second)
			c.Write(make([]byte, 2000))
			time.Sleep(3 * time.Second)
			c.Close()
		}, 7 * time.Second},
		"never ends": {func(c net.Conn) {
			for {
				if _, err := c.Write(make([]byte, 10)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer, own := memnet.Pipe()
				defer peer.Close()
				defer own.Close()
				ended := make(chan time.Time, 1)
				go func() {
					io.Copy(io.Discard, peer)
					ended <- time.Now()
				}()
				start := time.Now()
				var talk sync.WaitGroup
				talk.Go(func() { tc.peer(peer) })
				listen.ReadOut(own)
				if got := time.Since(start); got != tc.want {
					t.Errorf("took %v, want %v", got, tc.want)
				}
				own.Close()
				talk.Wait()
				if at := <-ended; !at.Equal(start) {
					t.Errorf("the peer saw the end after %v", at.Sub(start))
				}
			})
		})
	}
}
