package commquic_test

import (
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commquic "github.com/anasamu/comm/quic"
)

// small windows, so that a client that does not read stops its server soon.
var small = commquic.WithFlowControl(16<<10, 16<<10)

// TestConformance holds the provider against the suite that every provider passes.
func TestConformance(t *testing.T) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		return commtest.Setup{
			Provider: commquic.New(),
			Dialer: func(e commtest.Endpoint) comm.Dialer {
				return commquic.Dialer(e.Addr, commquic.WithListenPacket(e.ListenPacket), commquic.WithTLS(e.TLS), small)
			},
			SendRaw:  commquic.SendRaw,
			NeedsTLS: true, Backpressure: true, Verdict: true,
			Without: map[string]string{
				"refusals/the protocol's vectors": "they are JSON: TestVectorsOverTheWire sends those of testdata",
			},
		}
	})
}
