package comm

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
)

// Handler handles one message of a client. Handlers of one connection run one after the other in
// the order of arrival (unless WithHandlerConcurrency says otherwise), on a goroutine of the
// connection; those of different connections run at the same time. So a handler that takes long holds up what its
// own client sends behind it, and nobody else.
//
// ctx ends with the connection, whose CloseReason is then its cause, and after WithHandlerTimeout, where that is set.
// A client that has given up its call is not heard of.
//
// An error fails this message only: the client is told the code and text of a *PeerError, the code
// of this package's sentinels, "timeout" for one that wraps context.DeadlineExceeded, and "internal" for all else. Those
// two are logged as a warning. A panic is "internal", and logged with its stack.
type Handler func(ctx context.Context, c *Conn, m *Message) error

// Middleware wraps every handler. The first one given is the outermost. It sees messages and calls
// of all protocols, those that go to others (with to) included.
type Middleware func(next Handler) Handler

// On registers f for messages of a type. T is what the JSON content is decoded into; *Message
// hands the message itself. Content that does not decode is answered with bad_message. JSON null decodes into the
// zero T, and unknown members are ignored, as encoding/json does; what a value may be is f's to check.
// The type "*" handles what no other handler does. A message with to is not for handlers: it goes to those that it
// names, if the authorizer allows, through the middleware.
//
// It may be called at any time, concurrently too. A second handler for a type, a bad type, or a nil f is logged, and is an
// error of the next Start; where the manager runs already, the first handler stays.
func On[T any](m *Manager, typ string, f func(ctx context.Context, c *Conn, v T) error) {
	if f == nil {
		m.register(typ, nil)
		return
	}
	m.register(typ, func(ctx context.Context, c *Conn, msg *Message) error {
		v, err := decodeContent[T](msg)
		if err != nil {
			return err
		}
		return f(ctx, c, v)
	})
}

// register adds a handler, and tells of one that cannot be, since a manager that runs is not started again.
func (m *Manager) register(typ string, f Handler) {
	if err := m.handlers.add(typ, f); err != nil {
		m.log.Error("handler is not registered", "type", shorten(typ), "error", err)
	}
}

// OnCall registers f for messages and calls of a type, as On does; what it returns is the reply to a call: a *Message as
// it is, anything else as the content of one. A call of a type that On has registered is answered with null.
//
// Calls stand in line with the messages of their connection: see Handler, and WithHandlerConcurrency for clients that
// make several calls at once.
func OnCall[Req, Resp any](m *Manager, typ string, f func(ctx context.Context, c *Conn, req Req) (Resp, error)) {
	if f == nil {
		m.register(typ, nil)
		return
	}
	m.register(typ, func(ctx context.Context, c *Conn, msg *Message) error {
		req, err := decodeContent[Req](msg)
		if err != nil {
			return err
		}
		resp, err := f(ctx, c, req)
		if err != nil {
			return err
		}
		return setReply(ctx, resp)
	})
}

func decodeContent[T any](msg *Message) (v T, err error) {
	if p, ok := any(&v).(**Message); ok {
		*p = msg
		return v, nil
	}
	v, err = Decode[T](msg)
	if err != nil {
		return v, &PeerError{Code: CodeBadMessage, Message: err.Error()}
	}
	return v, nil
}

// replyKey finds the place for a call's reply in the handler's context.
type replyKey struct{}

func setReply(ctx context.Context, v any) error {
	slot, ok := ctx.Value(replyKey{}).(**Message)
	if !ok {
		return nil // a message, not a call
	}
	if m, ok := v.(*Message); ok {
		*slot = m
		return nil
	}
	m, err := NewMessage("reply", v)
	if err != nil {
		return err
	}
	*slot = m
	return nil
}

// handlers is the table of handlers by type, replaced as a whole on change.
type handlers struct {
	manager    *Manager
	mu         sync.Mutex
	table      atomic.Pointer[map[string]Handler]
	middleware []Middleware
	forward    Handler // for messages with to, through the middleware
	overdue    error   // why the context of one ends that has had its time
	errs       []error
}

func newHandlers(m *Manager, mw []Middleware) *handlers {
	h := &handlers{manager: m, middleware: mw, overdue: overdue(m.cfg.HandlerTimeout)}
	h.table.Store(&map[string]Handler{})
	h.forward = h.wrap(forward)
	return h
}

// add registers f. What is wrong is returned, and kept for Start.
func (h *handlers) add(typ string, f Handler) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := *h.table.Load()
	_, dup := old[typ]
	switch {
	case checkType(typ) != nil:
		err = checkType(typ)
	case dup:
		err = fmt.Errorf("comm: a second handler for message type %q", typ)
	case f == nil:
		err = fmt.Errorf("comm: the handler for message type %q is nil", typ)
	}
	if err != nil {
		h.errs = append(h.errs, err)
		return err
	}
	table := make(map[string]Handler, len(old)+1)
	for k, v := range old {
		table[k] = v
	}
	table[typ] = h.wrap(f)
	h.table.Store(&table)
	return nil
}

func (h *handlers) wrap(f Handler) Handler {
	for i := len(h.middleware) - 1; i >= 0; i-- {
		f = h.middleware[i](f)
	}
	return f
}

// errors returns what went wrong at registration.
func (h *handlers) errors() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.errs
}

// run hands m to its handler. reply is what a call is answered with.
func (h *handlers) run(ctx context.Context, c *Conn, m *Message, call bool) (reply *Message, err error) {
	f := h.forward
	if m.to == "" {
		if f = h.find(m.typ); f == nil {
			told := &PeerError{Code: CodeUnknownType, Message: "no handler for messages of type " + strconv.Quote(shorten(m.typ))}
			return nil, fmt.Errorf("%w: %w", ErrNoHandler, told)
		}
	}
	if call {
		return answer(ctx, c, m, f)
	}
	return nil, f(ctx, c, m)
}

// answer runs the handler of a call. Its reply is null if it sets none.
func answer(ctx context.Context, c *Conn, m *Message, f Handler) (reply *Message, err error) {
	ctx = context.WithValue(ctx, replyKey{}, &reply)
	if err := f(ctx, c, m); err != nil {
		return nil, err
	}
	if reply == nil {
		reply = &Message{content: []byte("null")}
	}
	return reply, nil
}

// label is what statistics count a message under: its type where that has a handler, "*" for others
// that the handler of all takes, "to" for what goes on to others, and "unknown". What clients make up
// is no label.
func (h *handlers) label(m *Message) string {
	table := *h.table.Load()
	switch {
	case table[m.typ] != nil:
		return m.typ
	case m.to != "":
		return "to"
	case table["*"] != nil:
		return "*"
	}
	return "unknown"
}

func (h *handlers) find(typ string) Handler {
	table := *h.table.Load()
	if f := table[typ]; f != nil {
		return f
	}
	return table["*"]
}

// deliveryKey finds the place for what became of a message: Frame.Delivery.
type deliveryKey struct{}

// forward sends a client's message to where it is addressed, if the authorizer allows.
func forward(ctx context.Context, c *Conn, m *Message) error {
	t, err := clientTarget(m.to)
	if err != nil {
		return err
	}
	slot, call := ctx.Value(replyKey{}).(**Message)
	action := ActionSend
	if call {
		action = ActionCall
	}
	if err := c.authorize(ctx, Access{Action: action, Target: t, Message: m}); err != nil {
		return err
	}
	if !call {
		d, err := c.manager.Send(ctx, t, m)
		if told, ok := ctx.Value(deliveryKey{}).(*Delivery); ok {
			*told = d
		}
		return err
	}
	if t.kind != targetConn {
		return wrongTarget("a call takes conn:ID")
	}
	fresh := *m
	fresh.id = newID() // clients choose ids without knowing each other
	*slot, err = c.manager.Call(ctx, t.name(), &fresh)
	return err
}
