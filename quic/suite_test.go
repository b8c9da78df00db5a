package commquic_test

import (
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commquic "github.com/anasamu/comm/quic"
	"github.com/anasamu/comm/ws"
)

// small windows, so that a client that does not read stops its server soon. What is left for other streams is
// more than the default lane may hold back.
var small = commquic.WithFlowControl(16<<10, 64<<10)

// goneAfter is how soon a dial gives up where nobody answers, which rows about a stopped server wait for. With the
// race detector and all rows at once on a busy machine, a server that is there may take seconds.
const goneAfter = 6 * time.Second

var gone = commquic.WithHandshakeTimeout(goneAfter)

// TestConformance holds the provider against the suite that every provider passes.
func TestConformance(t *testing.T) {
	t.Run("lanes", func(t *testing.T) { conform(t, true) })
	t.Run("one lane", func(t *testing.T) { conform(t, false, commquic.WithMaxLanes(0)) })
}

func conform(t *testing.T, lanes bool, opts ...commquic.Option) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		s := commtest.Setup{
			Provider: commquic.New(opts...),
			Dialer: func(e commtest.Endpoint) comm.Dialer {
				return commquic.Dialer(e.Addr, commquic.WithListenPacket(e.ListenPacket), commquic.WithTLS(e.TLS), small, gone)
			},
			SendRaw:  commquic.SendRaw,
			NeedsTLS: true, Backpressure: true, Verdict: true,
			Without: map[string]string{
				"refusals/the protocol's vectors": "they are JSON: TestVectorsOverTheWire sends those of testdata",
			},
		}
		if lanes {
			s.Without["order/priorities starve nobody"] = "each priority has a lane of its own, and no order joins lanes: the suite on one lane has the row"
		}
		return s
	})
}

// TestModelAcrossQUICAndWebSocket cuts clients at random bytes and has each come back over QUIC or WebSocket.
func TestModelAcrossQUICAndWebSocket(t *testing.T) {
	commtest.RunModel(t, commtest.Model{TLS: true, Cuts: modelCuts(), Carriers: []commtest.ModelCarrier{
		{Provider: commquic.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			return commquic.Dialer(e.Addr, commquic.WithListenPacket(e.ListenPacket), commquic.WithTLS(e.TLS))
		}},
		{Provider: ws.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			return ws.Dialer(e.URL("ws", "/ws"), ws.WithNetDial(e.DialContext), ws.WithTLS(e.TLS))
		}},
	}})
}

func modelCuts() int {
	if testing.Short() {
		return 60
	}
	return 400
}
