package main

import (
	"net"
	"net/http"
	"time"

	"github.com/lesismal/llib/std/crypto/tls"
	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// nbioSubject is lesismal/nbio: with its poller, or mixed, which it says is
// the faster one for few connections.
type nbioSubject struct {
	name   string
	mode   int
	config string
}

func init() {
	logging.SetLevel(logging.LevelNone)
	register(nbioSubject{"nbio", nbhttp.IOModNonBlocking, "IOModNonBlocking: its poller for all connections, the default; payloads released to its pool; it checks text by itself"})
	register(nbioSubject{"nbio-mixed", nbhttp.IOModMixed, "IOModMixed: a goroutine a connection up to MaxBlockingOnline (10,000), writing without another (BlockingModAsyncWrite off)"})
}

func (n nbioSubject) Name() string { return n.name }
func (nbioSubject) Module() string { return "github.com/lesismal/nbio" }
func (n nbioSubject) Config() string {
	return n.config
}

func (n nbioSubject) Echo(s *spec) (entry, error) {
	u := websocket.NewUpgrader()
	u.KeepaliveTime = 2 * time.Minute
	u.BlockingModAsyncWrite = false
	u.EnableCompression(s.Deflate)
	if err := u.SetCompressionLevel(1); err != nil {
		return entry{}, err
	}
	u.OnMessage(func(c *websocket.Conn, t websocket.MessageType, p []byte) {
		if c.WriteMessage(t, p) != nil {
			c.Close()
		}
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		if s.Deflate {
			c.EnableWriteCompression(true)
		}
	})
	return n.serve(s, mux)
}

func (n nbioSubject) serve(s *spec, h http.Handler) (entry, error) {
	addr, err := freeAddr() // the engine opens its listener by itself
	if err != nil {
		return entry{}, err
	}
	conf := nbhttp.Config{Network: "tcp", IOMod: n.mode, Handler: h, ReleaseWebsocketPayload: true, MaxLoad: 1 << 20}
	if s.TLS {
		pair, err := tls.X509KeyPair([]byte(s.Cert), []byte(s.Key))
		if err != nil {
			return entry{}, err
		}
		conf.AddrsTLS, conf.TLSConfig = []string{addr}, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	} else {
		conf.Addrs = []string{addr}
	}
	return entry{Addr: addr, WS: "/"}, nbhttp.NewEngine(conf).Start()
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
