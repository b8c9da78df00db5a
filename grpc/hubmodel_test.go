package commgrpc_test

import (
	"net/http"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commgrpc "github.com/anasamu/comm/grpc"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// TestModelAcrossProtocols cuts clients at random bytes and has each come back over gRPC, WebSocket, Server-Sent
// Events or long polling, every ordered pair of them a hundred times and more, on loopback sockets.
func TestModelAcrossProtocols(t *testing.T) {
	commtest.RunModel(t, commtest.Model{Carriers: append(modelCarriers(),
		commtest.ModelCarrier{Provider: sse.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			return sse.Dialer(e.URL("http", "/events"), sse.WithDialContext(e.DialContext))
		}},
		commtest.ModelCarrier{Provider: commhttp.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			return commhttp.Dialer(e.URL("http", "/poll"), commhttp.WithHTTPClient(pollClient(e)), commhttp.WithPatience(0))
		}},
	)})
}

// TestModelInMemory is the same with gRPC and WebSocket, without sockets.
func TestModelInMemory(t *testing.T) {
	commtest.RunModel(t, commtest.Model{Memory: true, Carriers: modelCarriers(), Cuts: 450})
}

func modelCarriers() []commtest.ModelCarrier {
	return []commtest.ModelCarrier{
		{Provider: commgrpc.New(), Dialer: func(e commtest.Endpoint) comm.Dialer { return dialerOf(e) }},
		{Provider: ws.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			return ws.Dialer(e.URL("ws", "/ws"), ws.WithNetDial(e.DialContext))
		}},
	}
}

func pollClient(e commtest.Endpoint) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: e.DialContext, DisableKeepAlives: true}}
}
