package comm_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]comm.Option{
		"WithProvider(<nil>)":              comm.WithProvider(nil),
		"New(<nil>)":                       nil,
		"WithLogger":                       comm.WithLogger(nil),
		"WithTLS(<nil>)":                   comm.WithTLS(nil),
		"WithAuthenticator(<nil>)":         comm.WithAuthenticator(nil),
		"WithAuthorizer(<nil>)":            comm.WithAuthorizer(nil),
		"WithOnConnect(<nil>)":             comm.WithOnConnect(nil),
		"WithClientCAs":                    comm.WithClientCAs(nil),
		"WithAllowedOrigins(example.com)":  comm.WithAllowedOrigins("https://ok.example", "example.com"),
		"WithHandlerConcurrency(0)":        comm.WithHandlerConcurrency(0),
		"WithHandlerTimeout(-1ns)":         comm.WithHandlerTimeout(-1),
		"WithMaxConnections(0)":            comm.WithMaxConnections(0),
		"WithMaxConnectionsPerUser(-1)":    comm.WithMaxConnectionsPerUser(-1),
		"WithMaxConnectionsPerAddr(0)":     comm.WithMaxConnectionsPerAddr(0),
		"WithHandshakeRate(0)":             comm.WithHandshakeRate(0, 1),
		"WithHandshakeRate(7)":             comm.WithHandshakeRate(7, 0),
		"WithMaxHandshakesPerAddr(0)":      comm.WithMaxHandshakesPerAddr(0),
		"WithFailedAuthBurst(0)":           comm.WithFailedAuthBurst(0),
		"WithMaxMessage(63)":               comm.WithMaxMessage(63),
		"WithMessageRate(1)":               comm.WithMessageRate(1, -1),
		"WithMaxGroups(0)":                 comm.WithMaxGroups(0),
		"WithQueue(1)":                     comm.WithQueue(1, 0),
		"WithOverflow(policy(9))":          comm.WithOverflow(9),
		"WithHistory(<nil>)":               comm.WithHistory(nil),
		"WithHistory(*comm.MemoryStore)":   comm.WithHistory(&comm.MemoryStore{Bytes: -1}),
		"WithResumeWindow(0s)":             comm.WithResumeWindow(0),
		"WithExpiryGrace(-1ns)":            comm.WithExpiryGrace(-1),
		"WithPresenceGrace(-1s)":           comm.WithPresenceGrace(-time.Second),
		"WithHeartbeat(0s)":                comm.WithHeartbeat(0),
		"WithWriteTimeout(0s)":             comm.WithWriteTimeout(0),
		"WithHandshakeTimeout(0s)":         comm.WithHandshakeTimeout(0),
		"WithTimeout(0s)":                  comm.WithTimeout(0),
		"WithRetry(-1)":                    comm.WithRetry(-1, time.Second),
		"WithRetry(3)":                     comm.WithRetry(3, 0),
		"WithDrainDelay(-1ns)":             comm.WithDrainDelay(-1),
		"WithDrainTimeout(0s)":             comm.WithDrainTimeout(0),
		"WithDrainSpread(-1ns)":            comm.WithDrainSpread(-1),
		"WithHealthInterval(0s)":           comm.WithHealthInterval(0),
		"WithBackplane(<nil>)":             comm.WithBackplane(nil),
		"limit: bad rate: 2147483647 per ": comm.WithHandshakeRate(2_147_483_647, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := comm.New(o)
			contains(t, err, name)
			if _, ok := errors.AsType[*comm.OptionError](err); !ok && !strings.HasPrefix(name, "limit") {
				t.Errorf("%v is no *OptionError", err)
			}
		})
	}
}

// Options that exclude each other are an error, never the last one's win.
func TestExclusiveOptions(t *testing.T) {
	t.Parallel()
	auth := comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) { return comm.Identity{}, nil })
	authz := comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { return nil })
	for name, opts := range map[string][2]comm.Option{
		"addr":          {comm.WithAddr(":1"), comm.WithAddr(":2")},
		"authenticator": {auth, auth},
		"authorizer":    {authz, comm.WithOpenAccess()},
		"tls":           {comm.WithTLS(&tls.Config{}), comm.WithDevelopmentCertificate()},
		"certificate":   {comm.WithTLS(&tls.Config{}), comm.WithCertificate("a", "b")},
		"file":          {comm.WithConfigJSON("a", []byte("{}")), comm.WithConfigFile("b")},
		"on_join":       {comm.WithOnJoin(func(*comm.Conn, string) {}), comm.WithOnJoin(func(*comm.Conn, string) {})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := comm.New(opts[0]); name != "file" && err != nil {
				t.Fatalf("one alone: %v", err)
			}
			_, err := comm.New(opts[0], opts[1])
			contains(t, err, "allowed is one")
		})
	}
}

func TestClientCAsNeedACertificate(t *testing.T) {
	t.Parallel()
	_, err := comm.New(comm.WithClientCAs(x509.NewCertPool()))
	contains(t, err, "WithClientCAs", "WithCertificate or WithDevelopmentCertificate")
	_, err = comm.New(comm.WithTLS12())
	contains(t, err, "WithTLS12", "WithCertificate or WithDevelopmentCertificate")
	if _, err := comm.New(comm.WithTLS12(), comm.WithDevelopmentCertificate()); err != nil {
		t.Error(err)
	}
	_, err = comm.New(comm.WithCertificate("nothing.pem", "nothing.key"))
	contains(t, err, "certificate", "nothing.pem")
}

func TestProviderNames(t *testing.T) {
	t.Parallel()
	_, err := comm.New(comm.WithProvider(&fake{}, &fake{}))
	if contains(t, err, `fake`, "one provider a name"); !errors.Is(err, comm.ErrRunning) {
		t.Errorf("%v is not ErrRunning", err)
	}
	_, err = comm.New(comm.WithProvider(&fake{}), comm.WithDefaultProvider("fax"))
	contains(t, err, "WithDefaultProvider(fax)", "[fake]")
}

func TestOpenAccessWarns(t *testing.T) {
	t.Parallel()
	var out logs
	newManager(t, out.logger(), comm.WithOpenAccess())
	if lines := out.with("level=WARN"); len(lines) != 1 || !strings.Contains(lines[0], "open access") {
		t.Errorf("log: %q", lines)
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for want, err := range map[string]error{
		`comm: WithX(3): cause: allowed is 4`:                        &comm.OptionError{Option: "WithX", Value: 3, Allowed: "4", Err: cause},
		`comm: limit reached: users (at most 2)`:                     &comm.LimitError{Limit: "users", Max: 2},
		`comm: provider "ws": start: cause`:                          &comm.ProviderError{Provider: "ws", Op: "start", Err: cause},
		`comm: provider "ws": route "/a" conflicts with "/b": cause`: &comm.RouteError{Provider: "ws", Pattern: "/a", Conflict: `"/b"`, Err: cause},
		`comm: peer: forbidden: no`:                                  &comm.PeerError{Code: comm.CodeForbidden, Message: "no"},
		`comm: frame: bad_frame: no`:                                 &comm.FrameError{Code: comm.CodeBadFrame, Text: "no"},
		`comm: message: type "": allowed is more`:                    &comm.MessageError{Member: "type", Allowed: "more"},
		`comm: upgrade refused: 403 go away`:                         &comm.UpgradeError{Status: 403, Body: "go away"},
		`comm: connection closed: slow_consumer: full: cause`:        comm.CloseReason{Kind: comm.ReasonSlow, Text: "full", Err: cause},
	} {
		same(t, "text", err.Error(), want)
		if strings.Contains(want, "cause") && !errors.Is(err, cause) {
			t.Errorf("%T does not unwrap", err)
		}
	}
}

// A handler that cannot be is logged when it is registered, since nobody may start the manager any more, and is an error of
// the next start.
func TestHandlersThatCannotBe(t *testing.T) {
	t.Parallel()
	log := new(logs)
	m := newManager(t, log.logger(), comm.WithProvider(&fake{}))
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	comm.On(m, "once", func(context.Context, *comm.Conn, int) error { return nil })
	comm.On(m, "once", func(context.Context, *comm.Conn, int) error { return nil })
	comm.On[int](m, "none", nil)
	comm.OnCall[int, int](m, "none", nil)
	comm.On(m, "", func(context.Context, *comm.Conn, int) error { return nil })
	same(t, "logged", len(log.with("handler is not registered")), 4)
	contains(t, m.Start(t.Context()), `a second handler for message type "once"`, `the handler for message type "none" is nil`, "1 to 128 bytes")
}

// A manager that serves nothing says so.
func TestNoProviders(t *testing.T) {
	t.Parallel()
	log := new(logs)
	m := newManager(t, log.logger())
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "warned", len(log.with("no provider is registered")), 1)
}
