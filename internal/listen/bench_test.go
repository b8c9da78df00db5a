package listen_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

// BenchmarkRequest compares a keep-alive request through a Server with net/http alone.
func BenchmarkRequest(b *testing.B) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	log := slog.New(slog.DiscardHandler)
	for _, bc := range []struct {
		name  string
		serve func(net.Listener) io.Closer
	}{
		{"net/http", func(l net.Listener) io.Closer {
			s := &http.Server{Handler: ok, ReadHeaderTimeout: listen.DefaultReadHeaderTimeout, IdleTimeout: listen.DefaultIdleTimeout}
			go s.Serve(l)
			return s
		}},
		{"listen", func(l net.Listener) io.Closer {
			s, _ := listen.New(listen.Config{Handler: ok, Logger: log})
			go s.Serve(l)
			return s
		}},
		{"listen claimers", func(l net.Listener) io.Closer {
			s, _ := listen.New(listen.Config{Handler: ok, Logger: log})
			s.ClaimConns(claimMagic)
			go s.Serve(l)
			return s
		}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			var n memnet.Network
			l, err := n.Listen(":80")
			if err != nil {
				b.Fatal(err)
			}
			defer bc.serve(l).Close()
			c, err := n.DialContext(b.Context(), "tcp", ":80")
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			r := bufio.NewReader(c)
			b.ReportAllocs()
			for b.Loop() {
				io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				for line := []byte(nil); len(line) != 2; {
					if line, err = r.ReadSlice('\n'); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
