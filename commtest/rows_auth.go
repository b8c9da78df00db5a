package commtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// authRows are about who a client is, and for how long.
var authRows = []row{
	{name: "auth/refused", run: authRefusedRow, wire: true},
	{name: "auth/failures are limited", run: failedAuthRow, timed: true},
	{name: "auth/identity expires", run: expiryRow, timed: true},
	{name: "auth/refresh in place", run: refreshRow, timed: true},
	{name: "auth/client certificate", run: certificateRow, wire: true, mutual: true},
}

func authRefusedRow(e *env) {
	m := e.start(comm.WithAuthenticator(users))
	witness := e.connect(asToken("ann"))
	err := e.refused(asToken("bad"))
	pe, told := errors.AsType[*comm.PeerError](err)
	if !errors.Is(err, comm.ErrUnauthenticated) && !(told && pe.Code == comm.CodeUnauthenticated) &&
		comm.ReasonOf(err) != comm.ReasonUnauthorized {
		e.Fatalf("refused with %v, want unauthenticated", err)
	}
	if strings.Contains(fmt.Sprint(err), "wrong token") {
		e.Errorf("the client is told the authenticator's own words: %v", err)
	}
	if n := m.ConnectionCount(comm.ToAll()); n != 1 {
		e.Fatalf("%d connections, want the witness alone", n)
	}
	if witness.welcome.User != "ann" || witness.conn().User() != "ann" {
		e.Fatalf("user %q", witness.welcome.User)
	}
	witness.nothing()
	client, err := comm.NewClient([]comm.Dialer{e.setup.Dialer(e.endpoint)}, comm.WithTokenSource(
		func(context.Context) (string, error) { return "bad", nil }))
	if err != nil {
		e.Fatal(err)
	}
	if err := client.Run(e.bounded()); err == nil {
		e.Fatal("a client whose credentials are refused tries for ever")
	}
}

func failedAuthRow(e *env) {
	var asked atomic.Int64
	e.start(comm.WithFailedAuthBurst(3), comm.WithAuthenticator(func(ctx context.Context, hs *comm.Handshake) (comm.Identity, error) {
		asked.Add(1)
		return users(ctx, hs)
	}))
	for range 10 {
		if err := e.refused(asToken("bad")); err == nil {
			e.Fatal("not refused")
		}
	}
	if n := asked.Load(); n != 3 {
		e.Fatalf("the authenticator was asked %d times, want 3", n)
	}
	time.Sleep(time.Minute)
	p := e.connect(asToken("ann"))
	for range 10 { // tokens on a connection that stands are no way around
		id := p.send(&comm.Frame{Op: comm.OpAuth, Token: "bad"})
		if f := p.expect(comm.OpError); f.ID != id || f.Code != comm.CodeUnauthenticated && f.Code != comm.CodeLimit {
			e.Fatalf("got %s", show(f))
		}
	}
	if n := asked.Load(); n > 3+1+3 {
		e.Fatalf("the authenticator was asked %d times, want 3, 1 and 3", n)
	}
	p.nothing()
}

// ephemeral is an authenticator: the token is user:lifetime.
func ephemeral(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
	user, life, _ := strings.Cut(hs.Token, ":")
	d, err := time.ParseDuration(life)
	if err != nil {
		return comm.Identity{}, err
	}
	return comm.Identity{User: user, Expires: time.Now().Add(d)}, nil
}

func expiryRow(e *env) {
	e.start(comm.WithAuthenticator(ephemeral), comm.WithExpiryGrace(30*time.Second))
	start := time.Now()
	p := e.connect(asToken("ann:1m"))
	if left := p.expires.Sub(start); left < 59*time.Second || left > 61*time.Second {
		e.Fatalf("welcome says the identity ends in %v, want a minute", left)
	}
	c := p.conn()
	time.Sleep(85 * time.Second)
	if err := c.Err(); err != nil {
		e.Fatalf("closed within the grace: %v", err)
	}
	if r := p.closed(); r.Kind != comm.ReasonExpired || !r.Reconnect() {
		e.Fatalf("closed with %v, want expired and to return", r)
	}
	if lasted := time.Since(start); lasted < 89*time.Second || lasted > 95*time.Second {
		e.Fatalf("closed after %v, want 90 s", lasted)
	}
}

func refreshRow(e *env) {
	e.start(comm.WithAuthenticator(ephemeral), comm.WithExpiryGrace(30*time.Second))
	p := e.connect(asToken("ann:1m"))
	c := p.conn()
	for range 5 {
		time.Sleep(50 * time.Second)
		id := p.send(&comm.Frame{Op: comm.OpAuth, Token: "ann:1m"})
		f := p.expect(comm.OpAuthed)
		if left := time.Until(f.Expires); f.ID != id || left < 58*time.Second {
			e.Fatalf("authed: %s", show(f))
		}
	}
	p.fails(p.send(&comm.Frame{Op: comm.OpAuth, Token: "bob:1m"}), comm.CodeUnauthenticated)
	p.fails(p.send(&comm.Frame{Op: comm.OpAuth, Token: "nonsense"}), comm.CodeUnauthenticated)
	p.fails(p.send(&comm.Frame{Op: comm.OpAuth, Token: "ann:-1m"}), comm.CodeUnauthenticated)
	p.nothing()
	if c.Err() != nil || c.User() != "ann" {
		e.Fatalf("connection of %q: %v", c.User(), c.Err())
	}
	time.Sleep(85 * time.Second)
	if r := p.closed(); r.Kind != comm.ReasonExpired {
		e.Fatalf("closed with %v, want expired", r)
	}
}

func certificateRow(e *env) {
	e.start(comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		if hs.TLS == nil || len(hs.TLS.VerifiedChains) == 0 {
			return comm.Identity{}, comm.ErrUnauthenticated
		}
		return comm.Identity{User: hs.TLS.PeerCertificates[0].Subject.CommonName}, nil
	}))
	p := e.connect()
	if p.welcome.User != "ann" {
		e.Fatalf("user %q, want the certificate's", p.welcome.User)
	}
	without := e.endpoint
	without.TLS = without.TLS.Clone()
	without.TLS.Certificates = nil
	if c, err := e.dialTo(without); err == nil {
		if f, err := c.Receive(e.bounded()); err == nil {
			e.Fatalf("without a certificate: %s", show(f))
		}
	}
	p.nothing()
}
