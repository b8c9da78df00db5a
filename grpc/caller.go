package commgrpc

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/anasamu/comm"
)

// Caller is who calls a method, for its handler and the user's interceptors. It must not be modified.
type Caller struct {
	// Identity is what the authenticator found; the zero Identity for public methods and without an authenticator.
	Identity comm.Identity
	// Method is the full method, "/pkg.Service/Method".
	Method string
	// Addr is the client's address: behind proxies that the manager trusts, the one that they tell.
	Addr net.Addr
	// TLS is the connection's state, with the client's certificate under mTLS; nil in cleartext.
	TLS *tls.ConnectionState
	// Manager is the gateway, with which a handler reaches the clients of all protocols.
	Manager *comm.Manager

	leaving <-chan struct{}
}

// Leaving is closed when the server is about to end: a stream that would go on for ever ends itself then, since what
// has not ended when the time to drain is over is cut. UNAVAILABLE is the status by which clients come back elsewhere.
func (c *Caller) Leaving() <-chan struct{} { return c.leaving }

// FromContext returns who calls, given the context of a call that a [Provider] serves, and else nil.
func FromContext(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// NewContext returns a context in which [FromContext] finds c, for tests of handlers without a gateway. That c never
// leaves.
func NewContext(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

type callerKey struct{}

// call is the context of a call, with all that is kept for it.
type call struct {
	context.Context
	caller Caller
	begun  bool // nothing has refused it before its handler
}

// Value finds the caller; the rest is the transport's.
func (c *call) Value(key any) any {
	if key == (callerKey{}) {
		return &c.caller
	}
	return c.Context.Value(key)
}
