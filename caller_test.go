package comm_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// callers is a gateway with an authenticator that takes the token for the user's name.
func callers(t *testing.T, opts ...comm.Option) comm.Host {
	t.Helper()
	_, f := gateway(t, append(opts, comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		if hs.Token == "anonymous" {
			return comm.Identity{}, nil
		}
		return comm.Identity{User: hs.Token, Labels: map[string]string{"role": "admin"}, Claims: 42}, nil
	}))...)
	return f.host()
}

// An authorizer learns who calls what, of a client that never was a connection.
func TestAuthorizeCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen *comm.Conn
		h := callers(t, comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
			seen = c
			same(t, "access", a, comm.Access{Action: comm.ActionInvoke, Method: "/pkg.Service/Method"})
			if c.User() == "eve" {
				return comm.ErrForbidden
			}
			return nil
		}))
		ask := func(token string) error {
			hs := &comm.Handshake{Token: token, RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}}
			if err := h.Authenticate(t.Context(), hs); err != nil {
				t.Fatal(err)
			}
			return h.Authorize(t.Context(), hs, comm.Access{Action: comm.ActionInvoke, Method: "/pkg.Service/Method"})
		}
		if err := ask("ann"); err != nil {
			t.Fatal(err)
		}
		same(t, "who", []any{seen.User(), seen.Label("role"), seen.Identity().Claims, seen.Address(), seen.RemoteAddr().String(), seen.Provider()},
			[]any{"ann", "admin", 42, "user:ann", "192.0.2.1:7", "fake"})
		if err := ask("eve"); !errors.Is(err, comm.ErrForbidden) {
			t.Errorf("eve: %v", err)
		}
		if err := ask("anonymous"); err != nil || seen.Address() != "conn:"+seen.ID() {
			t.Errorf("anonymous: %v, %q of %q", err, seen.Address(), seen.ID())
		}
	})
}

// Who calls again from the same connection is told apart by everything that the authenticator says.
func TestCallersAreNotMixedUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		identities := []comm.Identity{
			{},
			{User: "ann"},
			{User: "eve"},
			{User: "ann", Labels: map[string]string{"a": "1"}},
			{User: "ann", Labels: map[string]string{"a": "2"}},
			{User: "ann", Claims: 1},
			{User: "ann", Claims: 2},
			{User: "ann", Claims: []int{3}},
			{User: "ann", Expires: time.Now().Add(time.Hour)},
		}
		var now comm.Identity
		var seen *comm.Conn
		_, f := gateway(t, comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) { return now, nil }),
			comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, _ comm.Access) error { seen = c; return nil }))
		addrs := []net.Addr{&net.TCPAddr{Port: 7}, &net.TCPAddr{Port: 7}, &net.UDPAddr{Port: 7}, (*net.TCPAddr)(nil), nil}
		for range 3 {
			for _, now = range identities {
				for _, addr := range addrs {
					hs := &comm.Handshake{RemoteAddr: addr}
					if err := f.host().Authenticate(t.Context(), hs); err != nil {
						t.Fatal(err)
					}
					if err := f.host().Authorize(t.Context(), hs, comm.Access{Action: comm.ActionInvoke, Method: "/a.B/C"}); err != nil {
						t.Fatal(err)
					}
					if seen.RemoteAddr() != addr {
						t.Errorf("%v is taken for %v", addr, seen.RemoteAddr())
					}
					want := now
					if want.Labels == nil {
						want.Labels = map[string]string{}
					}
					got := seen.Identity()
					if got.Labels == nil {
						got.Labels = map[string]string{}
					}
					same(t, "identity", got, want)
				}
			}
		}
	})
}

// Whatever acts on the Conn of a caller says that it is closed, and nothing waits.
func TestCallerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c *comm.Conn
		h := callers(t, comm.WithAuthorizer(func(_ context.Context, seen *comm.Conn, _ comm.Access) error { c = seen; return nil }))
		if err := h.Authorize(t.Context(), &comm.Handshake{}, comm.Access{Action: comm.ActionInvoke, Method: "/a.B/C"}); err != nil {
			t.Fatal(err)
		}
		for name, act := range map[string]func() error{
			"Send":  func() error { _, err := c.Send(t.Context(), message(t, "n", nil)); return err },
			"Block": func() error { _, err := c.Send(t.Context(), message(t, "n", nil), comm.WithBlock()); return err },
			"Join":  func() error { return c.Join("lobby") },
			"Leave": func() error { return c.Leave("lobby") },
		} {
			if err := act(); !errors.Is(err, comm.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", name, err)
			}
		}
		if _, err := c.Call(t.Context(), message(t, "n", nil)); err == nil {
			t.Error("Call: no error")
		}
		if err := errors.Join(c.Close(t.Context(), ""), c.Kick(t.Context(), "")); err != nil {
			t.Error(err)
		}
		<-c.Done()
		if c.Err() == nil || c.Context().Err() == nil || h.Manager().Connection(c.ID()) != nil || len(c.Groups()) != 0 || c.Session() != "" {
			t.Errorf("open: %v", c.Err())
		}
		same(t, "stats", c.Stats().MessagesIn, int64(0))
	})
}

// Without an authorizer nothing may be called, unless access is open; a panic allows nothing.
func TestAuthorizeCallerDefaults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		invoke := comm.Access{Action: comm.ActionInvoke, Method: "/a.B/C"}
		for name, row := range map[string]struct {
			opts    []comm.Option
			allowed bool
		}{
			"none":   {nil, false},
			"open":   {[]comm.Option{comm.WithOpenAccess()}, true},
			"panics": {[]comm.Option{comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { panic("no idea") })}, false},
		} {
			if err := callers(t, row.opts...).Authorize(t.Context(), &comm.Handshake{}, invoke); (err == nil) != row.allowed {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := callers(t, comm.WithOpenAccess()).Authorize(t.Context(), &comm.Handshake{}, comm.Access{Action: comm.ActionInvoke}); err == nil {
			t.Error("no method is allowed")
		}
	})
}
