package comm_test

import (
	"context"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// An identity is what the authenticator said, whatever becomes of its map and of the copies handed out, and
// whatever OnConnect has made of the connection.
func TestIdentityIsWhatTheAuthenticatorSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		said      comm.Identity
		onConnect func(*comm.Admission)
	}{
		"nothing more": {said: comm.Identity{User: "ann", Labels: map[string]string{"plan": "free", "zone": "eu"}}},
		"claims":       {said: comm.Identity{User: "ann", Labels: map[string]string{"plan": "free"}, Claims: 7}},
		"an end":       {said: comm.Identity{User: "ann", Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"another name": {said: comm.Identity{User: "ann"}, onConnect: func(a *comm.Admission) { a.User = "bob" }},
		"another label": {
			said:      comm.Identity{User: "ann", Labels: map[string]string{"plan": "free"}},
			onConnect: func(a *comm.Admission) { a.Labels["plan"] = "gold" },
		},
		"anonymous": {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f := gateway(t, comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
					id := tt.said
					id.Labels = maps.Clone(tt.said.Labels)
					return id, nil
				}), comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
					if tt.onConnect != nil {
						tt.onConnect(a)
					}
					return nil
				}))
				c, err := f.host().Attach(t.Context(), newPeer(), &comm.Handshake{Header: http.Header{}})
				if err != nil {
					t.Fatal(err)
				}
				want := tt.said
				want.Labels = maps.Clone(tt.said.Labels)
				same(t, "identity", c.Identity(), want)
				if got := c.Identity().Labels; got != nil {
					got["plan"] = "stolen"
				}
				same(t, "identity after a copy was changed", c.Identity(), want)
				same(t, "registered", m.Connection(c.ID()), c)
			})
		})
	}
}
