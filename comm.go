package comm

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Provider is one protocol. A provider stores its options in its own New and never fails there;
// what else it can do is said by small optional interfaces (Configurable, Addresser, TLSProvider,
// IdleTimeouter, RouteSharer, AltServicer), never by methods that answer "not supported".
//
// All methods may be called from any goroutine. The manager never runs two Starts, or a Start and
// a restart, of one provider at once.
//
// The smallest one there can be is commtest.Pipe, to read; commtest.Run holds one of your own against the protocol.
type Provider interface {
	// Name is the provider's name in the manager and in configuration: "http", "websocket", "sse", ...
	Name() string
	// Features lists what this instance really serves as configured.
	Features() []Feature
	// Start makes the provider ready to serve and returns. ctx bounds starting only; what lives
	// longer lives on h.Context().
	Start(ctx context.Context, h Host) error
	// Stop ends serving: it drains and, when ctx ends, cuts. It is idempotent, and during Start
	// it cancels the start. The provider can be started again with a new Host.
	Stop(ctx context.Context) error
	// Health answers nil while the provider can serve.
	Health(ctx context.Context) error
}

// Addresser is a provider with an address of its own. One without it, or with an empty Address,
// serves on the manager's address.
type Addresser interface {
	// Address is host:port; a port of 0 lets the system choose. Providers that spell the same address share one
	// listener, also with port 0; addresses that overlap otherwise are an error of Start.
	Address() string
}

// TLSProvider is a provider whose own address is served with TLS.
type TLSProvider interface {
	// TLSConfig is used for the listener of Address; nil means the manager's configuration.
	TLSConfig() *tls.Config
}

// IdleTimeouter is a provider that says how long an idle HTTP connection of its address is kept. Of
// several providers on one address, the first registered decides.
type IdleTimeouter interface {
	// IdleTimeout is the time; 0 means the default of 120 s.
	IdleTimeout() time.Duration
}

// RouteSharer is a provider with an address of its own at which the routes of the manager's address are served
// too, where it has none itself.
type RouteSharer interface {
	// SharesRoutes is asked when the provider takes its address.
	SharesRoutes() bool
}

// AltServicer is a provider that serves the routes of its address over another protocol as well, and has
// clients told so on that address, on responses under TLS (RFC 7838).
type AltServicer interface {
	// AltService returns the value of the header Alt-Svc for responses from a listener, "" for none. It is
	// called for each response, concurrently.
	AltService(listener net.Addr) string
}

// Host is what the manager gives a provider for one start; it dies at Stop.
// It is an interface so that a test can make one: see commtest.NewHost.
type Host interface {
	// Context lives until Stop has ended.
	Context() context.Context
	// Fail reports that the provider died after Start; the manager restarts it by its policy.
	Fail(err error)
	// Logger carries the provider's name.
	Logger() *slog.Logger
	// Manager is the manager that the provider serves, for providers that offer its operations to
	// their clients.
	Manager() *Manager
	// Route serves a ServeMux pattern on the provider's address while the provider runs. A bad or
	// conflicting pattern is a *RouteError that names both sides.
	Route(pattern string, h http.Handler) error
	// ClaimRequests serves requests of the provider's address that no pattern can tell from others, such as by their
	// content type: those for which match is true and that have no route, or only one for every path ("/"). match is
	// asked about every request; it must be quick, and neither change the request nor read its body.
	ClaimRequests(match func(r *http.Request) bool, h http.Handler) error
	// Handler is all routes of the provider's address.
	Handler() http.Handler
	// ClaimConns offers every new connection of the provider's address to claim, after TLS and off
	// the accept loop, before net/http sees it.
	ClaimConns(claim ClaimFunc) error
	// Listen opens a listener of the provider's own, in memory where the manager is.
	Listen(ctx context.Context, network, addr string) (net.Listener, error)
	// ListenPacket opens a packet socket of the provider's own, in memory where the manager is. An empty addr
	// is the provider's address, whose listener it opens, with the same port; only where the system chose that
	// port and it is taken for packets, another.
	ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error)
	// TLS is the configuration with which the provider's address is served, nil for cleartext. It must not be
	// modified.
	TLS() *tls.Config
	// CheckOrigin applies the manager's origin policy; its error wraps ErrOrigin.
	CheckOrigin(r *http.Request) error
	// Admit counts a handshake against the limits before anything is spent on it. Its error is a
	// *LimitError; done must be called when the handshake has ended, whatever its end.
	Admit(remote net.Addr) (done func(), err error)
	// Authenticate runs the authenticator alone, for a carrier that must answer before it attaches.
	// Attach uses its result when the Handshake carries it.
	Authenticate(ctx context.Context, hs *Handshake) error
	// Reserve takes the place of a connection in the limits in all, per user and per address, for a carrier that can
	// refuse only before it upgrades. It authenticates unless that was done. Attach makes the place the connection's;
	// release, to be called when the handshake has ended, whatever its end, gives it back otherwise. A client that may
	// still resume a session must not be refused so: Attach first closes its earlier connection, which frees a place.
	// Errors: those of Authenticate, and a *LimitError.
	Reserve(ctx context.Context, hs *Handshake) (release func(), err error)
	// Authorize asks the authorizer about a client that becomes no connection. It is shown a Conn with the
	// identity that Authenticate found, the address and the provider, which is closed from the start and in
	// no registry, and whose ID is no connection's. Errors: the authorizer's, and ErrForbidden without one, unless access is open.
	Authorize(ctx context.Context, hs *Handshake, a Access) error
	// Attach admits a connection: it authenticates unless that was done, applies limits, resumes,
	// runs OnConnect, registers and sends welcome, so t.Write may be called before Attach has returned. The carrier must
	// call Detach when its transport has ended by itself. ctx bounds the admission alone. The error is what
	// RefusalFrame, RefusalReason and WriteRefusal tell the client of.
	Attach(ctx context.Context, t Transport, hs *Handshake) (*Conn, error)
	// Receive takes a frame that came from the client. It blocks while the connection's inbound
	// queue is full and returns ErrClosed once the connection is closed. Frames of one connection
	// must be given by one goroutine at a time.
	Receive(c *Conn, f *Frame) error
	// ReceiveMore is Receive for a frame that is more of what an earlier one began: it does not count against the rate.
	// It is for carriers of another protocol, in which what a client says once may be several frames here. An answer (ack,
	// reply, error) may be given by it beside other frames, by a carrier that answers for its client.
	ReceiveMore(c *Conn, f *Frame) error
	// Reject tells the client about bytes that were no frame: an error frame, and the counters.
	Reject(c *Conn, err error)
	// Detach says that the transport has ended; it closes c with the reason.
	Detach(c *Conn, r CloseReason)
	// Connection finds a connection of this provider by its id, for carriers whose clients send
	// upward in separate requests; session must be the connection's secret.
	Connection(id, session string) (*Conn, error)
	// Traffic counts bytes that a connection has read and written on the wire; a nil c counts them for the
	// provider alone, and one whose transport is Metered for itself alone.
	Traffic(c *Conn, in, out int)
	// Served counts a call that the provider has answered by itself. ctx is the call's: one that came with an
	// HTTP request through Route counts as a request already.
	Served(ctx context.Context, s Served)
	// Settings are the manager's limits that a carrier enforces itself.
	Settings() Settings
}

// Settings are the limits of the manager that a carrier enforces itself.
type Settings struct {
	MaxMessage       int           // bytes of one inbound message
	HandshakeTimeout time.Duration // until the hello has come
	WriteTimeout     time.Duration // for one write to a client
	Heartbeat        time.Duration // how often a sign of life is sent
	DrainTimeout     time.Duration
	InMemory         bool
	Authenticator    bool // there is one: without, every client is anonymous
	MaxConnections   int  // in all
	// MaxConnectionsPerAddr is what one address (IPv6: one /64) may hold.
	MaxConnectionsPerAddr int
	// MaxHandshakesPerAddr is how many handshakes of one address may be under way at once: what Host.Admit allows.
	MaxHandshakesPerAddr int
}

// Transport carries frames to one client. The manager calls Write from one goroutine at a time;
// Close may run beside it and must unblock it.
type Transport interface {
	// Write sends a prefix of batch and returns how many entries were wholly accepted. An error
	// means that the connection is dead. It must neither keep nor modify shared bytes after it returns.
	Write(batch []Outbound, deadline time.Time) (n int, err error)
	// Close ends the connection, telling the client r as the protocol can. It is called once.
	Close(r CloseReason, deadline time.Time) error
}

// WaitTeller is a Transport that tells when its Write is about to wait for the peer. The manager writes for
// such transports with few goroutines, one connection after the other, instead of one goroutine each.
type WaitTeller interface {
	// TellWaiting is called before the first Write. If it returns true, each Write calls w.Waiting, on its
	// own goroutine, before it waits, and at no other time does it take long.
	TellWaiting(w Waiter) bool
}

// Waiter is told that a Write waits.
type Waiter interface{ Waiting() }

// RoundTripper is a Transport that measures the round trip to its client by its heartbeat.
type RoundTripper interface{ RoundTrip() time.Duration }

// PeekConn is a new connection offered to a ClaimFunc. Peek does not consume.
type PeekConn interface {
	// Peek returns the next n bytes, fewer only with an error. It is bounded in bytes and time.
	Peek(n int) ([]byte, error)
	// Replay returns the connection with the peeked bytes still to be read. A claimer that takes
	// the connection owns and closes it.
	Replay() net.Conn
	// Write writes to the peer, for protocols in which a client waits for the server's word.
	Write(p []byte) (int, error)
	// Pass declines the connection and has net/http serve c in its stead, which reads and writes
	// through Replay's.
	Pass(c net.Conn)
	// TLS is the connection's state, or nil in cleartext.
	TLS() *tls.ConnectionState
	// LocalAddr and RemoteAddr are the connection's addresses.
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// ClaimFunc looks at a new connection and takes it, or leaves it to net/http. ctx ends with the
// time allowed for looking.
type ClaimFunc func(ctx context.Context, c PeekConn) (taken bool, err error)

// Handshake is what is known of a client before it is admitted.
type Handshake struct {
	// Request is the HTTP request that opened the connection. It is nil for carriers without one (gRPC, raw QUIC), and
	// when a token is refreshed.
	Request *http.Request
	// Header are the request's headers or the carrier's equivalent; never nil in an authenticator.
	Header http.Header
	// RemoteAddr is the peer's address: behind WithTrustedProxies the client's.
	RemoteAddr net.Addr
	// TLS is the connection's state, with the client's certificate under mTLS; nil in cleartext, and when a token is
	// refreshed.
	TLS *tls.ConnectionState
	// Token is the token of the hello, else that of the Authorization header (Bearer), else, of a client that says no
	// hello, that of the query (access_token), which ends up in the logs of what is between.
	Token string
	// Hello is what the client asked for. Attach treats nil as an empty hello.
	Hello *Hello
	// Position is where the client wants to continue.
	Position Position
	// ID is the id of the hello frame, to relate errors to it.
	ID string

	provider string
	identity *Identity    // set by Authenticate
	reserved *reservation // set by Reserve
	trusted  *trusted     // set for in-process upgrades
}

// Provider returns the name of the provider through which the client comes.
func (h *Handshake) Provider() string { return h.provider }

// Identity returns who Host.Authenticate found the client to be, for a carrier whose clients do not
// become connections; ok is false before.
func (h *Handshake) Identity() (id Identity, ok bool) {
	if h.identity == nil {
		return Identity{}, false
	}
	return *h.identity, true
}

// Identity is who a client is. The zero Identity is an anonymous client.
type Identity struct {
	// User is the name by which ToUser finds the client: at most 256 bytes.
	User string
	// Labels are facts that targets can filter by.
	Labels map[string]string
	// Expires ends the identity; the client must refresh its token before. Zero never ends.
	Expires time.Time
	// Claims is anything the authenticator wants to hand to handlers and the authorizer.
	Claims any
}

// Authenticator decides who a client is, for each handshake and each token refresh. It is called without
// a lock, concurrently; ctx ends after the handshake timeout at the latest. Values that middleware around the gateway
// has left are in the context of Handshake.Request. A refresh brings nothing but the new Token, with RemoteAddr and the
// connection's metadata in Hello.
//
// Routes of package commhttp are not asked about: see Manager.Authenticate.
//
// An error refuses the client for good: it is told unauthenticated, or what a *PeerError in the error says, and
// counts against its address (WithFailedAuthBurst). Where the service cannot decide just now, return a *LimitError:
// the client is then told to come again, after Retry where its carrier can say that, and nothing is counted. An error
// that wraps context.DeadlineExceeded means the same.
type Authenticator func(ctx context.Context, hs *Handshake) (Identity, error)

// Action is what a client wants to do to others.
type Action string

// The actions that an Authorizer is asked about.
const (
	ActionSend     Action = "send"     // a message with to, to others
	ActionJoin     Action = "join"     // a group
	ActionList     Action = "list"     // connections of a target
	ActionPresence Action = "presence" // who is in a group
	ActionCall     Action = "call"     // a call with to, to another connection
	ActionClose    Action = "close"    // another connection
	// ActionInvoke is a method of a service beside the hub. Whoever calls it is no connection: the Conn tells the user,
	// labels, identity, provider and address; its ID is the same for all, and its context has ended.
	ActionInvoke Action = "invoke"
)

// Access is one request to an Authorizer.
type Access struct {
	Action  Action
	Target  Target   // whom it would reach; zero for ActionInvoke
	Group   string   // of ActionJoin and ActionPresence, and of every Target that is a group; else ""
	Message *Message // ActionSend and ActionCall
	Method  string   // ActionInvoke: "/pkg.Service/Method"
}

// Authorizer decides what a client may do to others: join a group, send and call beyond the service's own handlers,
// list, look and close. A nil error allows. Messages without "to" are not asked about: they are the handlers'. It is
// called without a lock, on the connection's handler goroutine, by Conn.Authorize or by Host.Authorize, which shows it
// a Conn that was never open. Without an Authorizer every Access is refused. ctx ends with the connection or the call,
// and after WithHandlerTimeout.
//
// An error refuses this one request: the client is told what an error of a Handler would tell it. ErrForbidden and a
// *PeerError are decisions; an error that tells the client nothing is logged as a warning.
type Authorizer func(ctx context.Context, c *Conn, a Access) error
