package graphql_test

import (
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/graphql"
)

// TestConformance holds the provider with the hub's schema against the suite that every provider passes, as far
// as GraphQL can say what the rows are about.
func TestConformance(t *testing.T) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		return commtest.Setup{
			Provider:     graphql.New(graphql.Hub()),
			Dialer:       func(e commtest.Endpoint) comm.Dialer { return hubDialer{e} },
			Backpressure: true, Verdict: true,
		}
	})
}
