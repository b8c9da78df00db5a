package graphql_test

import (
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/ws"
)

// TestConformance holds the provider with the hub's schema against the suite that every provider passes.
func TestConformance(t *testing.T) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		return commtest.Setup{
			Provider: graphql.New(graphql.Hub(), graphql.WithLimits(graphql.Limits{Time: time.Hour}),
				graphql.WithMaxOperations(1000)), // as many as rows send without waiting
			Dialer:       func(e commtest.Endpoint) comm.Dialer { return hubDialer{e} },
			Backpressure: true, Verdict: true,
			Without: map[string]string{
				"attach/unexpected hello": "graphql-transport-ws has a second connection_init end the connection, with 4429",
			},
		}
	})
}

// TestModel cuts clients at random bytes, and has each come back over GraphQL or comm's own protocol on WebSocket.
func TestModel(t *testing.T) {
	commtest.RunModel(t, commtest.Model{Cuts: 300, Carriers: []commtest.ModelCarrier{
		{Provider: graphql.New(graphql.Hub(), graphql.WithMaxOperations(1000)), Dialer: func(e commtest.Endpoint) comm.Dialer { return hubDialer{e} }},
		{Provider: ws.New(), Dialer: func(e commtest.Endpoint) comm.Dialer {
			return ws.Dialer(e.URL("ws", "/ws"), ws.WithNetDial(e.DialContext))
		}},
	}})
}
