package comm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/places"
)

// Dialer opens one kind of carrier to a gateway: ws.Dialer, sse.Dialer, commhttp.Dialer.
type Dialer interface {
	// Name is the provider's name at the gateway, for logs and states.
	Name() string
	// Dial connects and sends hello. What the server answers is the first frame that Receive
	// returns. An error that trying again cannot mend is a CloseReason that says so, or wraps one.
	Dial(ctx context.Context, hello *Frame) (Carrier, error)
}

// Carrier is one open connection of a client.
type Carrier interface {
	// Send sends one frame. It is safe for concurrent use.
	Send(ctx context.Context, f *Frame) error
	// Receive returns the next frame. One goroutine calls it. Its error ends the carrier; a
	// CloseReason in it says what the server meant.
	Receive(ctx context.Context) (*Frame, error)
	// Close says goodbye, as far as ctx allows, and ends the carrier. It unblocks Receive.
	Close(ctx context.Context) error
}

// ClientState is where a Client is.
type ClientState uint8

// The states of a Client.
const (
	ClientConnecting ClientState = iota // a carrier is being opened
	ClientConnected                     // welcome has come
	ClientWaiting                       // until the next attempt
	ClientClosed                        // for good
)

// String returns the state's name.
func (s ClientState) String() string {
	return [...]string{"connecting", "connected", "waiting", "closed"}[min(s, ClientClosed)]
}

// StateChange is one step of a Client's state machine.
type StateChange struct {
	State   ClientState
	Carrier string        // the dialer's name; empty while waiting or closed
	Resumed bool          // connected: the session went on
	Wait    time.Duration // waiting: for how long
	Err     error         // waiting and closed: why
}

// Gap is a range of a log that this client has lost for good.
type Gap struct {
	Log   string
	Epoch string
	From  uint64
	To    uint64 // 0 if unknown, because the log began anew
}

// Client is one client of a gateway over any carrier. It connects, resumes where it was, falls back
// from one dialer to the next, and stays connected until it is told to stop or not to return.
// All methods are safe for concurrent use.
type Client struct {
	dialers []Dialer
	opts    clientOptions
	ids     atomic.Uint64

	mu       sync.Mutex // guards the fields below
	running  bool
	state    ClientState
	carrier  Carrier
	ready    chan struct{} // closed while connected; replaced when the connection is lost
	lost     chan struct{} // closed when the connection that ready speaks of is lost
	welcome  Welcome
	session  string
	position Position
	groups   map[string]bool
	closed   error // why the client is closed for good

	waits    waiters         // answers that requests wait for, on the current connection
	held     requests        // of handlers, among them
	in       inbox           // what no handler has taken yet
	handling places.Places   // of the goroutine that empties it
	calls    places.Places   // of the server that are handled, also those whose connection is lost
	helping  places.Places   // of their goroutines, and of those that renew tokens
	over     context.Context // ends when Run waits for no handler any more
	handlers sync.Map
}

// clientHandler handles messages, and with reply calls too.
type clientHandler func(ctx context.Context, m *Message) (reply *Message, err error)

// ClientOption configures a Client.
type ClientOption func(*clientOptions)

type clientOptions struct {
	token    func(ctx context.Context) (string, error)
	groups   []string
	metadata map[string]string
	session  string
	position Position
	backoff  Backoff
	onState  func(StateChange)
	onGap    func(Gap)
	log      *slog.Logger
	timeout  time.Duration // of one attempt to connect
	patience time.Duration // of one request
	closing  time.Duration // of handlers when Run ends
	calls    int           // handled at once
}

// WithTokenSource sets where the client gets its token for each connection, and for the refresh
// before it expires. An error of f counts as a failed attempt: the client waits and tries again. The default is no token.
func WithTokenSource(f func(ctx context.Context) (string, error)) ClientOption {
	return func(o *clientOptions) { o.token = f }
}

// WithGroups joins groups with every hello. See Client.Join.
func WithGroups(groups ...string) ClientOption {
	return func(o *clientOptions) { o.groups = append(o.groups, groups...) }
}

// WithHelloMetadata sets the metadata that the connection shows: at most 16 members and 2 KiB. Anybody may claim
// anything in it.
func WithHelloMetadata(md map[string]string) ClientOption {
	return func(o *clientOptions) { o.metadata = maps.Clone(md) }
}

// WithResume starts where an earlier Client ended: its Session and Position.
func WithResume(session string, p Position) ClientOption {
	return func(o *clientOptions) { o.session, o.position = session, p.Clone() }
}

// WithBackoff sets the waits between attempts. The default is the zero Backoff.
func WithBackoff(b Backoff) ClientOption { return func(o *clientOptions) { o.backoff = b } }

// WithOnState sets what is told of every step, one after the other, on the goroutine of Run: it must not wait for the
// client.
func WithOnState(f func(StateChange)) ClientOption { return func(o *clientOptions) { o.onState = f } }

// WithOnGap sets what is told of every range that is lost, in its place between the messages, on their goroutine.
func WithOnGap(f func(Gap)) ClientOption { return func(o *clientOptions) { o.onGap = f } }

// WithClientLogger sets the logger. The default discards.
func WithClientLogger(l *slog.Logger) ClientOption { return func(o *clientOptions) { o.log = l } }

// WithConnectTimeout bounds each attempt, until welcome. The default is 15 s.
func WithConnectTimeout(d time.Duration) ClientOption {
	return func(o *clientOptions) { o.timeout = d }
}

// WithRequestTimeout bounds each Call, SendAck, Join, Leave and Refresh whose context has no deadline, from the wait for
// a connection to the answer, and the wait of Send for a connection. The error then wraps context.DeadlineExceeded. The
// default is 30 s; a context with a deadline of its own may wait longer.
func WithRequestTimeout(d time.Duration) ClientOption {
	return func(o *clientOptions) { o.patience = d }
}

// WithCallConcurrency lets at most n calls of the server be handled at once (Client.OnCall); one more is refused with
// the code limit, and logged. The default is 1,024.
func WithCallConcurrency(n int) ClientOption {
	return func(o *clientOptions) { o.calls = n }
}

// WithCloseTimeout bounds how long Run, when it ends, waits for handlers that go on although their context has ended, and
// for a token source that does. Then it returns an error that says so and wraps context.DeadlineExceeded; what waited
// behind such a handler is dropped, and not in Client.Position. The default is 30 s; with 0 Run waits for nobody.
func WithCloseTimeout(d time.Duration) ClientOption {
	return func(o *clientOptions) { o.closing = d }
}

// NewClient makes a client that tries the dialers in order: the next one whenever a connection does not come to
// stand. Register handlers, then call Run, which connects. Errors: *OptionError, and a *MessageError for metadata or
// the name of a group.
func NewClient(dialers []Dialer, opts ...ClientOption) (*Client, error) {
	c := &Client{dialers: slices.Clone(dialers), groups: make(map[string]bool)}
	c.opts = clientOptions{
		log: slog.New(slog.DiscardHandler), timeout: 15 * time.Second, patience: 30 * time.Second,
		closing: 30 * time.Second, calls: maxWaiting,
	}
	for _, o := range opts {
		if o == nil {
			return nil, &OptionError{Option: "NewClient", Value: nil, Allowed: "options"}
		}
		o(&c.opts)
	}
	if err := c.opts.check(); err != nil {
		return nil, err
	}
	if len(dialers) == 0 || slices.Contains(dialers, nil) {
		return nil, &OptionError{Option: "NewClient", Value: len(dialers), Allowed: "one dialer or more"}
	}
	for _, g := range c.opts.groups {
		if err := checkGroup(g); err != nil {
			return nil, err
		}
		c.groups[g] = true
	}
	c.session, c.position = c.opts.session, c.opts.position
	c.ready, c.lost = make(chan struct{}), make(chan struct{})
	c.in.owner = c
	return c, nil
}

// check refuses what the client, or the server later, could not work with.
func (o *clientOptions) check() error {
	if o.log == nil {
		return &OptionError{Option: "WithClientLogger", Value: o.log, Allowed: "a logger"}
	}
	if o.timeout <= 0 {
		return &OptionError{Option: "WithConnectTimeout", Value: o.timeout, Allowed: "more than 0"}
	}
	if o.patience <= 0 {
		return &OptionError{Option: "WithRequestTimeout", Value: o.patience, Allowed: "more than 0"}
	}
	if o.closing < 0 {
		return &OptionError{Option: "WithCloseTimeout", Value: o.closing, Allowed: "0 or more"}
	}
	if o.calls <= 0 {
		return &OptionError{Option: "WithCallConcurrency", Value: o.calls, Allowed: "1 or more"}
	}
	return checkMetadata(o.metadata)
}

// On registers f for messages of a type, "*" for all that have no other, in the place of what was registered for it
// before. It may be called at any time; what comes before it, and has no handler, is dropped with a line in the log.
// Messages are handled one after the other in the order of arrival; the position moves on when f has returned. An
// error is told to a sender that wants an ack: a *PeerError's code and text, "internal" for most else. The context
// ends when f has returned and its connection has ended, and when Run ends; f must then return soon (WithCloseTimeout).
// While f goes on after its connection is lost there is no other one, for the client must know its position first. A panic
// is not recovered.
//
// f may use the client, with the context that it is given: Call, Join and the others return
// ErrDisconnected when the connection that f holds up is lost, and that connection is given up for
// another one when more than 4,096 messages or 16 MiB have gathered behind f while it waits.
func (c *Client) On(typ string, f func(ctx context.Context, m *Message) error) {
	c.handlers.Store(typ, clientHandler(func(ctx context.Context, m *Message) (*Message, error) { return nil, f(ctx, m) }))
}

// OnCall registers f for calls of a type; it returns the reply's content, or a *Message for the reply itself. An
// error is told to the caller, as On tells it. Each call has a goroutine of its own, beside the messages and one
// another: at most as many as WithCallConcurrency says, 1,024 by default, and one more is refused with the code limit.
// The context ends with the connection, which the reply needs. A call that goes on after it keeps its place among the
// 1,024, and holds up the end of Run (WithCloseTimeout), but no other connection.
func (c *Client) OnCall(typ string, f func(ctx context.Context, m *Message) (any, error)) {
	c.handlers.Store(typ, clientHandler(func(ctx context.Context, m *Message) (*Message, error) {
		v, err := f(ctx, m)
		if err != nil {
			return nil, err
		}
		if m, ok := v.(*Message); ok {
			return m, nil
		}
		return NewMessage("reply", v)
	}))
}

// State returns where the client is.
func (c *Client) State() ClientState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Position returns how far the client has read.
func (c *Client) Position() Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position.Clone()
}

// Session returns the secret with which the session can be resumed, or "".
func (c *Client) Session() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Welcome returns the last welcome; its Conn is "" before the first.
func (c *Client) Welcome() Welcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.welcome
}

// Send sends a message, waiting for a connection if there is none: until ctx ends, or for the time of
// WithRequestTimeout where it has no deadline; so also while nobody has called Run. It returns when the carrier has
// taken it; SendAck waits for the handler. What the server then refuses is told to nobody.
//
// Errors: a *MessageError for a message that NewMessage has not made, ErrClosed once the client has ended, a *PeerError
// with too_large for more than Welcome.MaxMessage (over carriers that can know), ErrDisconnected in a handler whose
// connection is lost, the carrier's, and the context's. A message whose sending failed may have arrived all the same.
//
// WithLane, WithPriority and WithUnreliable choose the way on carriers that have several (QUIC); others send
// everything in order. Any other option is an *OptionError.
func (c *Client) Send(ctx context.Context, m *Message, opts ...SendOption) error {
	route, err := routeOf(m, opts)
	if err != nil {
		return err
	}
	carrier, _, err := c.connected(ctx)
	if err != nil {
		return err
	}
	return carrier.Send(ctx, &Frame{Op: OpMessage, ID: m.id, Message: stampTrace(ctx, m), Route: route})
}

// SendAck sends a message and returns when the server's handler has returned: nil, or the *PeerError
// it was answered with. It takes the options that Send takes; for a message that is lost on an unreliable way it waits
// until its time is over (WithRequestTimeout, where ctx has no deadline). Errors besides: those of Send,
// ErrDisconnected when the connection is lost before the answer (whether the message was handled is then not known),
// and a *LimitError with 1,024 answers pending.
func (c *Client) SendAck(ctx context.Context, m *Message, opts ...SendOption) error {
	route, err := routeOf(m, opts)
	if err != nil {
		return err
	}
	_, err = c.request(ctx, ackKey(m.id), &Frame{Op: OpMessage, ID: m.id, Ack: true, Message: stampTrace(ctx, m), Route: route})
	return err
}

// routeOf is what a client's options say of the way of a message, if that is one.
func routeOf(m *Message, opts []SendOption) (*Route, error) {
	if err := checkMade(m); err != nil || len(opts) == 0 {
		return nil, err
	}
	var o sendOptions
	for _, set := range opts {
		if set == nil {
			return nil, &OptionError{Option: "Client.Send", Value: nil, Allowed: "options"}
		}
		set(&o)
	}
	if o.key != "" || o.ack || o.block || o.unlogged {
		return nil, &OptionError{Option: "Client.Send", Value: "an option of the server", Allowed: "WithLane, WithPriority and WithUnreliable"}
	}
	return &Route{Lane: o.lane, Priority: o.priority, Unreliable: o.unreliable}, nil
}

// Call sends a message and waits for the reply: until ctx ends, or for the time of WithRequestTimeout (30 s by default)
// where it has no deadline. The server's handler does not learn that the caller has given up. Errors: those of SendAck,
// and one that wraps context.DeadlineExceeded when the time is over: whether the call was handled is then not known.
func (c *Client) Call(ctx context.Context, m *Message) (*Message, error) {
	if err := checkMade(m); err != nil {
		return nil, err
	}
	return c.request(ctx, m.id, &Frame{Op: OpCall, ID: m.id, Message: stampTrace(ctx, m)})
}

// Join joins a group, now and with every later connection, and waits until the server has said yes
// or no. A refusal is a *PeerError, and the group is not asked for again. After any other error, such as
// ErrDisconnected or the context's, the group is asked for with the next connection; Leave takes that back.
func (c *Client) Join(ctx context.Context, group string) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	c.mu.Lock()
	c.groups[group] = true
	pos := c.position.Clone()
	c.mu.Unlock()
	_, err := c.request(ctx, "", &Frame{Op: OpJoin, Group: group, Position: pos})
	if _, refused := errors.AsType[*PeerError](err); refused {
		c.mu.Lock()
		delete(c.groups, group)
		c.mu.Unlock()
	}
	return err
}

// Leave leaves a group for good, and waits for the server's word. After an error the next connection does not join it.
func (c *Client) Leave(ctx context.Context, group string) error {
	c.mu.Lock()
	delete(c.groups, group)
	c.mu.Unlock()
	_, err := c.request(ctx, "", &Frame{Op: OpLeave, Group: group})
	return err
}

// Refresh renews the identity in place with a fresh token. With WithTokenSource the client does so by itself, when a
// fifth of the time is left. A refusal is a *PeerError; the connection then lives until the old identity has ended.
func (c *Client) Refresh(ctx context.Context, token string) error {
	_, err := c.request(ctx, "", &Frame{Op: OpAuth, Token: token})
	return err
}

// request sends f and waits for the answer that key names; an empty key makes an id.
func (c *Client) request(ctx context.Context, key string, f *Frame) (*Message, error) {
	if !hasDeadline(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.opts.patience, noAnswer("WithRequestTimeout", c.opts.patience))
		defer cancel()
	}
	carrier, lost, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	if key == "" {
		f.ID = "c" + strconv.FormatUint(c.ids.Add(1), 10)
		key = f.ID
	}
	handler := ctx.Value(carrierKey{}) != nil
	if handler && (f.Op == OpJoin || f.Op == OpLeave) {
		key = handlerKey(key)
	}
	result := make(chan callResult, 1)
	if err := c.waits.add(key, func(m *Message, err error) { result <- callResult{m, err} }); err != nil {
		return nil, err
	}
	defer c.waits.remove(key)
	if handler {
		c.held.Add(1)
		defer c.held.Add(-1)
		c.in.widen()
	}
	if err := carrier.Send(ctx, f); err != nil {
		return nil, err
	}
	select {
	case r := <-result:
		return r.m, r.err
	case <-lost:
		return nil, ErrDisconnected
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// connected waits for a connection. A handler cannot: there is none until it has returned.
func (c *Client) connected(ctx context.Context) (Carrier, <-chan struct{}, error) {
	carrier, lost, ready, err := c.gate(ctx)
	if carrier != nil || err != nil {
		return carrier, lost, err
	}
	if !hasDeadline(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.opts.patience, noConnection(c.opts.patience))
		defer cancel()
	}
	for {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		carrier, lost, ready, err = c.gate(ctx)
		if carrier != nil || err != nil {
			return carrier, lost, err
		}
	}
}

// gate returns the connection that stands, or what is closed when one may.
func (c *Client) gate(ctx context.Context) (carrier Carrier, lost, ready <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == ClientConnected:
		return c.carrier, c.lost, nil, nil
	case c.state == ClientClosed:
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrClosed, c.closed)
	case ctx.Value(carrierKey{}) != nil:
		return nil, nil, nil, ErrDisconnected
	}
	return nil, nil, c.ready, nil
}

// noConnection is the error of whoever waited for a connection as long as WithRequestTimeout says.
func noConnection(d time.Duration) error {
	return fmt.Errorf("comm: no connection within %v (WithRequestTimeout): %w", d, context.DeadlineExceeded)
}
