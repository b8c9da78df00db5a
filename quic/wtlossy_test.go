package commquic_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/lossy"
	commquic "github.com/anasamu/comm/quic"
	"github.com/anasamu/comm/ws"
)

// Over a network that loses, doubles and reorders packets, and to which the client comes from ever new ports, HTTP/3,
// WebTransport and WebSocket over HTTP/3 lose nothing.
func TestBadNetworkOverHTTP3(t *testing.T) {
	t.Parallel()
	echoSession := func(w http.ResponseWriter, r *http.Request) {
		s, err := commquic.UpgradeWebTransport(w, r)
		if err != nil {
			return
		}
		for {
			str, err := s.AcceptStream(context.Background())
			if err != nil {
				return
			}
			_, _ = io.Copy(str, str)
			_ = str.Close()
		}
	}
	web := commhttp.New(
		commhttp.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
		commhttp.HandleFunc("/sessions", echoSession),
		commhttp.Handle("/socket", ws.Handler(echo)),
	)
	m := gateway(t, commquic.New(), comm.WithProvider(web))
	proxy := through(t, m, lossy.Config{Seed: 5, Loss: 0.03, Duplicate: 0.05, Reorder: 0.1, Delay: time.Millisecond})
	addr := proxy.Addr().String()
	big := bytes.Repeat([]byte("0123456789"), 20_000)
	tr := &http3.Transport{TLSClientConfig: certificate().Client()}
	defer tr.Close()

	t.Run("HTTP/3", func(t *testing.T) {
		for range 5 {
			if _, got := get(t, tr, http.MethodPost, "https://"+addr+"/echo", string(big)); got != string(big) {
				t.Fatalf("%d bytes", len(got))
			}
			if err := proxy.Rebind(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("WebSocket", func(t *testing.T) {
		c, _, err := ws.Dial(within(t), "wss://"+addr+"/socket", ws.WithRoundTripper(commquic.ExtendedConnect(tr)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		for i := range 100 {
			want := fmt.Sprint(i)
			if err := c.Write(within(t), ws.Text, []byte(want)); err != nil {
				t.Fatal(err)
			}
			if _, b, err := c.Read(within(t), nil); err != nil || string(b) != want {
				t.Fatalf("%q %v, want %s", b, err, want)
			}
		}
	})
	t.Run("WebTransport", func(t *testing.T) {
		s, _, err := commquic.DialWebTransport(within(t), "https://"+addr+"/sessions", trusting()...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.CloseWithError(0, "") }()
		for range 5 {
			str, err := s.OpenStreamSync(within(t))
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = str.Write(big); _ = str.Close() }()
			if got, err := io.ReadAll(str); err != nil || !bytes.Equal(got, big) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if err := proxy.Rebind(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if s := proxy.Stats(); s.Lost == 0 || s.Doubled == 0 || s.Reordered == 0 {
		t.Errorf("the network was not bad: %+v", s)
	}
}
