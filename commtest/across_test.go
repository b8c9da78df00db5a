package commtest_test

import (
	"net/http"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// TestModelAcrossProtocols cuts clients at random bytes and has each come back over WebSocket,
// Server-Sent Events or long polling, every ordered pair of them a hundred times and more, on loopback
// sockets.
func TestModelAcrossProtocols(t *testing.T) {
	commtest.RunModel(t, commtest.Model{Carriers: []commtest.ModelCarrier{
		{Provider: ws.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			return ws.Dialer(e.URL("ws", "/ws"), ws.WithNetDial(e.DialContext))
		}},
		{Provider: sse.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			return sse.Dialer(e.URL("http", "/events"), sse.WithDialContext(e.DialContext))
		}},
		{Provider: commhttp.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			transport := &http.Transport{DialContext: e.DialContext, DisableKeepAlives: true}
			return commhttp.Dialer(e.URL("http", "/poll"), commhttp.WithHTTPClient(&http.Client{Transport: transport}), commhttp.WithPatience(0))
		}},
	}})
}
