package graphql_test

import (
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/graphql"
)

// TestConformance holds the provider with the hub's schema against the suite that every provider passes, as far
// as GraphQL can say what the rows are about.
func TestConformance(t *testing.T) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		return commtest.Setup{
			Provider:     graphql.New(graphql.Hub(), graphql.WithLimits(graphql.Limits{Time: time.Hour})),
			Dialer:       func(e commtest.Endpoint) comm.Dialer { return hubDialer{e} },
			Backpressure: true, Verdict: true,
			Without: hubWithout(),
		}
	})
}

// hubWithout are the rows that this carrier does not run, by the reasons.
func hubWithout() map[string]string {
	without := make(map[string]string)
	for reason, rows := range map[string][]string{
		"a GraphQL client is told no session, and so resumes none; it goes on by positions": {
			"attach/welcome", "client/comes back after a cut", "limits/connections of a user", "resume/goes on where it was",
			"resume/supersedes", "resume/kicked session is refused by name", "resume/unknown session is a notice",
			"resume/session too old", "replay/filters are honoured",
		},
		"connection_init has neither a version nor metadata, and may come once": {
			"attach/unsupported version", "attach/unexpected hello", "attach/hello groups and metadata", "refusals/bad hello",
		},
		"a refused client is told 4403 Forbidden, without the reason": {"attach/refused by OnConnect"},
		"a token is not renewed in place: the client comes back with a fresh one": {
			"auth/failures are limited", "auth/identity expires", "auth/refresh in place", "handlers/reader goes on beside a handler",
			"client/renews its token", "client/falls back",
		},
		"an operation is told of the groups that it names, and not of those that the server joins": {
			"attach/lifecycle hooks", "groups/by the server", "groups/too many logs",
		},
		"no operation answers calls; the service is told unknown_type": {
			"calls/service to client", "calls/from inside a handler to the same connection", "calls/a reply behind a full inbound queue",
			"calls/client to client", "calls/time out", "client/join, leave, call and ack",
		},
		"what an operation has said is acknowledged by the server's side": {"acks/of clients", "replay/acks count"},
		"the answer of call has no headers":                               {"calls/trace goes through"},
		"operations are not in one order with each other": {
			"groups/refused names and limits", "access/authorizer", "overflow/drop newest", "overflow/drop oldest",
			"overflow/latest by key", "overflow/a replay waits behind its joined",
		},
		"each subscription is told of what its own group was sent": {
			"replay/one send to several groups", "targets/every kind", "targets/narrowed",
		},
		"messages without a group have no positions": {"replay/users and everyone"},
		"the schema asks neither for presence nor for the end of others": {
			"access/default deny", "access/list, presence and close",
		},
		"over the rate the code is 1013, on which GraphQL clients come back": {
			"refusals/message rate", "refusals/message rate, again and again",
		},
	} {
		for _, row := range rows {
			without[row] = reason
		}
	}
	return without
}
