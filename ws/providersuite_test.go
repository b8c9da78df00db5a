package ws_test

import (
	"context"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/ws"
)

// TestConformance holds the provider against the suite that every provider passes.
func TestConformance(t *testing.T) {
	t.Run("plain", func(t *testing.T) { conform(t) })
	t.Run("compressed", func(t *testing.T) { conform(t, ws.WithCompression(ws.Compression{MinSize: 1})) })
}

func conform(t *testing.T, opts ...ws.Option) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		var forProvider []ws.ProviderOption
		for _, o := range opts {
			forProvider = append(forProvider, o)
		}
		return commtest.Setup{
			Provider: ws.New(forProvider...),
			Dialer: func(e commtest.Endpoint) comm.Dialer {
				dial := []ws.DialOption{ws.WithNetDial(e.DialContext)}
				if e.TLS != nil {
					dial = append(dial, ws.WithTLS(e.TLS))
				}
				for _, o := range opts {
					dial = append(dial, o)
				}
				return ws.Dialer(e.URL("ws", "/ws"), dial...)
			},
			SendRaw: func(ctx context.Context, c comm.Carrier, data []byte) error {
				return ws.ConnOf(c).Write(ctx, ws.Text, data)
			},
			// What the rows fill a queue with compresses to nothing.
			Backpressure: len(opts) == 0, Verdict: true,
		}
	})
}
