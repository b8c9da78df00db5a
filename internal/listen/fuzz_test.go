package listen_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

// FuzzConnection sends arbitrary first bytes to a server with a claimer, in cleartext and
// TLS: whatever they are, the connection ends once the client has, and nothing of it stays.
func FuzzConnection(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"MAGIC\none\ntwo\n",
		"MAGIG\n",
		"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
		"",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	serverConf, _ := serverTLS(f)
	var n memnet.Network
	servers := map[bool]*listen.Server{}
	for secure, addr := range map[bool]string{false: ":80", true: ":443"} {
		l, err := n.Listen(addr)
		if err != nil {
			f.Fatal(err)
		}
		cfg := listen.Config{Handler: http.HandlerFunc(describe)}
		if secure {
			cfg.TLS = serverConf
		}
		servers[secure] = serveOn(f, cfg, l)
		servers[secure].ClaimConns(claimMagic)
	}
	f.Fuzz(func(t *testing.T, sent []byte, secure bool) {
		addr := map[bool]string{false: ":80", true: ":443"}[secure]
		c, err := n.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		go func() {
			c.Write(sent)
			c.(*memnet.Conn).CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("the connection did not end: %v", err)
		}
		c.Close()
		s := servers[secure]
		eventually(t, func() bool { st := s.Stats(); return st.Open == 0 && st.Handshaking == 0 })
	})
}
