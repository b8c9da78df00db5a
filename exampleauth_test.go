package comm_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// An authenticator says who a client is, and an authorizer what it may do to others. What neither allows is refused.
func ExampleWithAuthorizer() {
	gw, end := memoryGateway(
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			user, ok := strings.CutPrefix(hs.Token, "token of ") // here the signature of a real one is checked
			if !ok {
				return comm.Identity{}, comm.ErrUnauthenticated
			}
			return comm.Identity{User: user, Expires: time.Now().Add(time.Hour)}, nil
		}),
		comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
			if a.Action == comm.ActionJoin && (a.Group == "lobby" || a.Group == "staff" && c.User() == "ann") {
				return nil
			}
			return comm.ErrForbidden
		}),
	)
	defer end()
	for _, user := range []string{"ann", "bob"} {
		client, hangUp := memoryClient(gw, comm.WithTokenSource(func(context.Context) (string, error) { return "token of " + user, nil }))
		for _, group := range []string{"lobby", "staff"} {
			fmt.Println(user, group, client.Join(context.Background(), group))
		}
		hangUp()
	}
	// Output:
	// ann lobby <nil>
	// ann staff <nil>
	// bob lobby <nil>
	// bob staff comm: peer: forbidden: forbidden
}

// A service that cannot decide just now has its clients come again instead of refusing them for good.
func ExampleWithOnConnect() {
	busy := true
	gw, end := memoryGateway(comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, a *comm.Admission) error {
		if busy {
			busy = false
			return &comm.LimitError{Limit: "the database is being moved", Retry: 10 * time.Millisecond}
		}
		a.Groups = append(a.Groups, "everyone-in-"+hs.Hello.Metadata["town"])
		return nil
	}))
	defer end()
	states := make(chan comm.StateChange, 8)
	_, hangUp := memoryClient(gw, comm.WithHelloMetadata(map[string]string{"town": "Berne"}), comm.WithBackoff(comm.Backoff{Base: time.Millisecond}),
		comm.WithOnState(func(s comm.StateChange) { states <- s }))
	defer hangUp()
	for s := range states {
		fmt.Println(s.State)
		if s.State == comm.ClientConnected {
			break
		}
	}
	fmt.Println(gw.ConnectionCount(comm.ToGroup("everyone-in-Berne")))
	// Output:
	// connecting
	// waiting
	// connecting
	// connected
	// 1
}
