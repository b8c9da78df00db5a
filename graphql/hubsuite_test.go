package graphql_test

import (
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/graphql"
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
