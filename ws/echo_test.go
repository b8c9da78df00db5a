package ws_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/anasamu/comm/ws"
)

func TestEchoOfOwnClient(t *testing.T) {
	t.Parallel()
	for _, z := range []bool{false, true} {
		for _, portable := range []bool{false, true} {
			t.Run(fmt.Sprintf("deflate=%v,portable=%v", z, portable), func(t *testing.T) {
				t.Parallel()
				var opts []ws.Option
				if z {
					opts = append(opts, ws.WithCompression(ws.Compression{Takeover: true, MinSize: -1}))
				}
				if portable {
					opts = append(opts, ws.WithPortableIO())
				}
				opts = append(opts, ws.WithReadLimit(-1))
				aopts, dopts := []ws.AcceptOption{}, []ws.DialOption{}
				for _, o := range opts {
					aopts, dopts = append(aopts, o), append(dopts, o)
				}
				url := echoServer(t, aopts...)
				c, _, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http"), dopts...)
				if err != nil {
					t.Fatal(err)
				}
				defer c.CloseNow()
				if c.Compressed() != z {
					t.Fatalf("compressed %v", c.Compressed())
				}
				var buf []byte
				for _, n := range []int{0, 1, 125, 126, 127, 1000, 65535, 65536, 65537, 1 << 20, 5 << 20, 3} {
					msg := bytes.Repeat([]byte("abcdefg\n"), n/8+1)[:n]
					done := make(chan error, 1)
					go func() { done <- c.Write(t.Context(), ws.Text, msg) }()
					typ, got, err := c.Read(t.Context(), buf)
					if err != nil {
						t.Fatal(n, err)
					}
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					if typ != ws.Text || !bytes.Equal(got, msg) {
						t.Fatalf("%d bytes came back as %v of %d", n, typ, len(got))
					}
					buf = got
				}
				if err := c.Close(t.Context(), ws.StatusNormal, "bye"); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
