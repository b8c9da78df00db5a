package commquic_test

import (
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commquic "github.com/anasamu/comm/quic"
)

// TestConformanceWebTransport holds the provider, over WebTransport, against the suite that every provider passes.
func TestConformanceWebTransport(t *testing.T) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		return commtest.Setup{
			Provider: commquic.New(),
			Dialer: func(e commtest.Endpoint) comm.Dialer {
				return commquic.WebTransportDialer("https://"+e.Addr+"/wt", commquic.WithListenPacket(e.ListenPacket), commquic.WithTLS(e.TLS), small, gone)
			},
			SendRaw:  commquic.SendRaw,
			NeedsTLS: true, Backpressure: true, Verdict: true,
			Without: map[string]string{
				"order/priorities starve nobody":  "each priority has a lane of its own, and no order joins lanes",
				"client/falls back":               "the carrier's name is webtransport, not the provider's",
				"refusals/the protocol's vectors": "they are JSON: TestVectorsOverTheWire sends those of testdata",
			},
		}
	})
}
