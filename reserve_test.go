package comm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/anasamu/comm"
)

// reserve takes a place for a handshake before it attaches.
func (f *fake) reserve(t *testing.T, hs *comm.Handshake) (release func(), err error) {
	t.Helper()
	return f.host().Reserve(t.Context(), hs)
}

// tight are limits of one place each.
func tight(which string) comm.Option {
	return map[string]comm.Option{
		"connections": comm.WithMaxConnections(1), "connections per user": comm.WithMaxConnectionsPerUser(1),
		"connections per address": comm.WithMaxConnectionsPerAddr(1),
	}[which]
}

var tightLimits = []string{"connections", "connections per user", "connections per address"}

// A place that is reserved is full for others, becomes the connection's without being counted again, and is free
// when that has ended; giving it back meanwhile does nothing.
func TestReservedPlaceIsTheConnections(t *testing.T) {
	for _, name := range tightLimits {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, f := gateway(t, tight(name), tokenIsUser())
				for range 3 {
					hs, other := at("ann", "192.0.2.1"), at("ann", "192.0.2.1")
					release, err := f.reserve(t, &hs)
					if err != nil {
						t.Fatal(err)
					}
					_, err = f.reserve(t, &other)
					if le := refusedAt(t, err, name, 1); le.Retry <= 0 {
						t.Errorf("retry after %v", le.Retry)
					}
					c, err := f.host().Attach(t.Context(), newPeer(), &hs)
					if err != nil {
						t.Fatalf("with its own place: %v", err)
					}
					release()
					_, _, err = f.try(t, at("ann", "192.0.2.1"))
					refusedAt(t, err, name, 1)
					hangUp(f, c)
					release()
				}
				f.attach(t, at("ann", "192.0.2.1"))
				_, _, err := f.try(t, at("ann", "192.0.2.1"))
				refusedAt(t, err, name, 1)
			})
		})
	}
}

// A handshake that comes to nothing, or is reserved for once more, leaves its place, once.
func TestReservedPlaceIsGivenBack(t *testing.T) {
	for _, name := range tightLimits {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, f := gateway(t, tight(name), tokenIsUser(), comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, _ *comm.Admission) error {
					if len(hs.Hello.Groups) > 0 {
						return errors.New("not you")
					}
					return nil
				}))
				for _, attach := range []bool{false, true} {
					hs := at("ann", "192.0.2.1")
					for range 2 { // the second takes the place of the first
						if _, err := f.reserve(t, &hs); err != nil {
							t.Fatal(err)
						}
					}
					release, err := f.reserve(t, &hs)
					if err != nil {
						t.Fatal(err)
					}
					if hs.Hello = (&comm.Hello{Groups: []string{"x"}}); attach {
						if _, err := f.host().Attach(t.Context(), newPeer(), &hs); !errors.Is(err, comm.ErrForbidden) {
							t.Fatal(err)
						}
					}
					release()
					release()
				}
				f.attach(t, at("ann", "192.0.2.1"))
				_, _, err := f.try(t, at("ann", "192.0.2.1"))
				refusedAt(t, err, name, 1)
			})
		})
	}
}

// OnConnect may make the client another user, whose place it then has.
func TestReservedPlaceFollowsTheUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithMaxConnections(2), comm.WithMaxConnectionsPerUser(1), tokenIsUser(),
			comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, a *comm.Admission) error {
				if hs.Token == "guest" {
					a.User = "ann"
				}
				return nil
			}))
		enter := func(user string) (*comm.Conn, error) {
			hs := as(user)
			release, err := f.reserve(t, &hs)
			if err != nil {
				return nil, err
			}
			defer release()
			return f.host().Attach(t.Context(), newPeer(), &hs)
		}
		c, err := enter("guest")
		if err != nil || c.User() != "ann" {
			t.Fatal(c, err)
		}
		_, err = enter("guest") // guest's place is free, ann's is not
		refusedAt(t, err, "connections per user", 1)
		f.attach(t, as("guest2"))
		_, err = enter("ben")
		refusedAt(t, err, "connections", 2)
		hangUp(f, c)
		if _, err := enter("ann"); err != nil {
			t.Error(err)
		}
	})
}

// A client that is nobody is refused as Authenticate would, takes no place, and the service hears of both refusals.
func TestReserveRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var refused []error
		m, f := gateway(t, comm.WithMaxConnections(1), tokenIsUser(), comm.WithObserver(comm.ObserverFunc(func(e comm.Event) {
			if e.Kind == comm.EventRefused {
				refused = append(refused, e.Err)
			}
		})))
		bad := as("bad")
		if _, err := f.reserve(t, &bad); !errors.Is(err, comm.ErrUnauthenticated) {
			t.Error(err)
		}
		f.attach(t, as("ann"))
		ben := as("ben")
		_, err := f.reserve(t, &ben)
		refusedAt(t, err, "connections", 1)
		if len(refused) != 2 || !errors.Is(refused[0], comm.ErrUnauthenticated) || !errors.Is(refused[1], err) {
			t.Errorf("heard of %v", refused)
		}
		same(t, "connections", m.ConnectionCount(comm.ToAll()), 1)
	})
}
