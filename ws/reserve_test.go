package ws_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// anyToken takes a token from wherever a WebSocket client can put one.
func anyToken(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
	token := hs.Token
	if c, err := hs.Request.Cookie("token"); err == nil {
		token = c.Value
	}
	if _, after, ok := strings.Cut(hs.Header.Get("Sec-WebSocket-Protocol"), "bearer, "); ok {
		token = after
	}
	if token == "" {
		return comm.Identity{}, errors.New("no token")
	}
	return comm.Identity{User: token}, nil
}

// credentials are the ways in which a client that says no hello tells who it is.
var credentials = map[string]func(url *string) ws.DialOption{
	"header": func(*string) ws.DialOption { return ws.WithHeader(http.Header{"Authorization": {"Bearer ann"}}) },
	"query":  func(url *string) ws.DialOption { *url += "?access_token=ann"; return ws.WithHeader(nil) },
	"cookie": func(*string) ws.DialOption { return ws.WithHeader(http.Header{"Cookie": {"token=ann"}}) },
	"subprotocol": func(*string) ws.DialOption {
		return ws.WithSubprotocols("bearer", "ann")
	},
}

// overTheLimit fails unless the handshake was refused by status, with all that the other carriers say.
func overTheLimit(t *testing.T, resp *http.Response, err error, limit string) {
	t.Helper()
	if err == nil || resp == nil {
		t.Fatalf("refused only behind the upgrade: %v", err)
	}
	body := make([]byte, 1024)
	n, _ := resp.Body.Read(body)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" ||
		!strings.Contains(string(body[:n]), `"code":"limit","message":"`+limit+`: at most 1`) {
		t.Errorf("%s %v %s", resp.Status, resp.Header, body[:n])
	}
}

// Who says no hello is refused by the limits before the upgrade, and comes in when a place is free.
func TestLimitsRefuseBeforeTheUpgrade(t *testing.T) {
	for limit, opt := range map[string]comm.Option{
		"connections": comm.WithMaxConnections(1), "connections per user": comm.WithMaxConnectionsPerUser(1),
		"connections per address": comm.WithMaxConnectionsPerAddr(1),
	} {
		for how := range credentials {
			t.Run(limit+"/"+how, func(t *testing.T) {
				t.Parallel()
				m, err := comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithProvider(ws.New()), opt, comm.WithAuthenticator(anyToken), comm.WithLogger(slog.New(slog.DiscardHandler)))
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { m.Close() })
				dial := func() (*ws.Conn, *http.Response, error) {
					url := "ws://" + addr(t, m) + "/ws"
					return ws.Dial(t.Context(), url, credentials[how](&url))
				}
				for range 3 {
					c, _, err := dial()
					if err != nil {
						t.Fatal(err)
					}
					if got := readText(t, c); !strings.Contains(got, `"op":"welcome"`) || !strings.Contains(got, `"user":"ann"`) {
						t.Fatal(got)
					}
					for range 3 {
						_, resp, err := dial()
						overTheLimit(t, resp, err, limit)
					}
					one := only(t, m)
					_ = c.CloseNow()
					<-one.Done()
				}
			})
		}
	}
}

// only is the one connection that there is.
func only(t *testing.T, m *comm.Manager) *comm.Conn {
	t.Helper()
	for c := range m.Connections(comm.ToAll()) {
		return c
	}
	t.Fatal("no connection")
	return nil
}

// A client with a hello is refused behind it: it may have come to take the place of its own connection.
func TestHelloMayFreeAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, comm.WithMaxConnectionsPerUser(1), comm.WithAuthenticator(anyToken))
		dial := func() *ws.Conn {
			c, _, err := ws.Dial(t.Context(), "ws://gateway/ws", ws.WithNetDial(m.DialContext), ws.WithSubprotocols("comm.v1.json"),
				ws.WithHeader(http.Header{"Authorization": {"Bearer ann"}}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.CloseNow() })
			return c
		}
		first := dial()
		writeText(t, first, `{"op":"hello"}`)
		readText(t, first)
		session := only(t, m).Session()
		second := dial()
		writeText(t, second, `{"op":"hello"}`)
		if got := readText(t, second); !strings.Contains(got, `"code":"limit"`) {
			t.Error(got)
		}
		third := dial()
		writeText(t, third, `{"op":"hello","session":"`+session+`"}`)
		if got := readText(t, third); !strings.Contains(got, `"resumed":true`) {
			t.Error(got)
		}
	})
}

// plain is a WebSocket provider, some of whose requests come over a server that cannot give the connection away.
type plain struct{ *ws.Provider }

type plainHost struct{ comm.Host }

// Start implements comm.Provider.
func (p plain) Start(ctx context.Context, h comm.Host) error {
	return p.Provider.Start(ctx, plainHost{h})
}

// Route implements comm.Host.
func (h plainHost) Route(pattern string, next http.Handler) error {
	return h.Host.Route(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Plain") != "" {
			w = struct{ http.ResponseWriter }{w}
		}
		next.ServeHTTP(w, r)
	}))
}

// An upgrade that fails gives the place back, and so does a client that OnConnect refuses behind it.
func TestFailedUpgradeTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, decide := make(chan struct{}), make(chan struct{})
		m, err := comm.New(comm.WithInMemory(), comm.WithProvider(plain{ws.New()}), comm.WithLogger(slog.New(slog.DiscardHandler)),
			comm.WithMaxConnectionsPerUser(1), comm.WithAuthenticator(anyToken),
			comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, _ *comm.Admission) error {
				if hs.Header.Get("X-Slow") == "" {
					return nil
				}
				close(asked)
				<-decide
				return errors.New("not you")
			}))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		dial := func(header string) (*ws.Conn, *http.Response, error) {
			return ws.Dial(t.Context(), "ws://gateway/ws?access_token=ann", ws.WithNetDial(m.DialContext), ws.WithHeader(http.Header{header: {"1"}}))
		}
		for range 3 {
			if _, resp, _ := dial("X-Plain"); resp == nil || resp.StatusCode != http.StatusNotImplemented {
				t.Fatalf("%+v", resp)
			}
		}
		slow, _, err := dial("X-Slow")
		if err != nil {
			t.Fatal(err)
		}
		<-asked
		_, resp, err := dial("X-Quick")
		overTheLimit(t, resp, err, "connections per user")
		close(decide)
		if got := readText(t, slow); !strings.Contains(got, `"code":"forbidden"`) {
			t.Error(got)
		}
		_ = slow.CloseNow()
		synctest.Wait()
		c, _, err := dial("X-Quick")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.CloseNow()
	})
}

// In process, a client that the limits refuse learns why from the error itself.
func TestHandleWebSocketIsToldTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, comm.WithMaxConnectionsPerUser(1))
		r, _ := http.NewRequest("GET", "/ws", nil)
		_, stream, err := m.HandleWebSocket(t.Context(), "", r, comm.WithUser("ann"))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = m.HandleWebSocket(t.Context(), "", r, comm.WithUser("ann"))
		if le, ok := errors.AsType[*comm.LimitError](err); !ok || le.Limit != "connections per user" || le.Max != 1 {
			t.Errorf("%v", err)
		}
		one := only(t, m)
		_ = stream.Close()
		<-one.Done()
		_, stream, err = m.HandleWebSocket(t.Context(), "", r, comm.WithUser("ann"))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Close()
	})
}
