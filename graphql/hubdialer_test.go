package graphql_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/ws"
)

// hubDialer is a client of the gateway's protocol that speaks GraphQL: each frame is an operation of the schema
// of graphql.Hub over the subprotocol graphql-transport-ws, and each response becomes the frame that it means.
type hubDialer struct{ e commtest.Endpoint }

func (hubDialer) Name() string { return "graphql" }

// Dial has the client admitted, subscribes to what is its own, and joins the groups of its hello.
func (d hubDialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	if hello.Op != comm.OpHello {
		return nil, errors.New("the dialer begins with a hello")
	}
	opts := []ws.DialOption{ws.WithNetDial(d.e.DialContext), ws.WithSubprotocols(newProtocol)}
	if d.e.TLS != nil {
		opts = append(opts, ws.WithTLS(d.e.TLS))
	}
	conn, _, err := ws.Dial(ctx, d.e.URL("ws", "/graphql"), opts...)
	if err != nil {
		return nil, err
	}
	c := &hubCarrier{conn: conn, ops: make(map[string]*hubOp)}
	if err := c.begin(ctx, hello); err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	return c, nil
}

// hubOp is an operation under way, and the frame that it stands for.
type hubOp struct {
	id, query string
	frame     *comm.Frame
	group     string // of messages
	began     bool   // messages: the first event has come
	again     bool   // messages: of a join that is repeated, so only its first event counts
	hears     func(data json.RawMessage) []*comm.Frame
}

type hubCarrier struct {
	conn *ws.Conn

	mu      sync.Mutex // guards the fields below
	ids     int
	ops     map[string]*hubOp
	line    []*hubOp // queries and mutations: one at a time, for one that overtakes would be handled first
	pending []*comm.Frame
}

func (c *hubCarrier) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.conn.Write(context.Background(), ws.Text, b)
}

type hubSaid struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

func (c *hubCarrier) begin(ctx context.Context, hello *comm.Frame) error {
	if err := c.write(hubSaid{Type: "connection_init", Payload: map[string]string{"token": hello.Token}}); err != nil {
		return err
	}
	if err := c.until(ctx, func() bool { return len(c.pending) > 0 }); err != nil { // the acknowledgement
		return err
	}
	c.pending = nil
	own := &hubOp{query: `{ connection { id user } }`, frame: hello, hears: welcomed}
	c.enqueue(own)
	if err := c.until(ctx, func() bool { return len(c.pending) > 0 }); err != nil {
		return err
	}
	messages := c.watch(&comm.Frame{}, "")
	if err := c.until(ctx, func() bool { return messages.began }); err != nil {
		return err
	}
	for _, g := range hello.Hello.Groups {
		had := len(c.pending)
		op := c.watch(&comm.Frame{ID: hello.ID, Group: g, Position: hello.Position}, g)
		if err := c.until(ctx, func() bool {
			return op.began || slices.ContainsFunc(c.pending[had:], func(f *comm.Frame) bool { return f.Op == comm.OpError })
		}); err != nil {
			return err
		}
	}
	return nil
}

func welcomed(data json.RawMessage) []*comm.Frame {
	var d struct{ Connection struct{ ID, User string } }
	if json.Unmarshal(data, &d) != nil {
		return nil
	}
	return []*comm.Frame{{Op: comm.OpWelcome, Welcome: &comm.Welcome{Version: comm.ProtocolVersion, Conn: d.Connection.ID, User: d.Connection.User}}}
}

// until takes messages until ok; only Dial calls it.
func (c *hubCarrier) until(ctx context.Context, ok func() bool) error {
	for !ok() {
		if err := c.hear(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Receive is the next frame.
func (c *hubCarrier) Receive(ctx context.Context) (*comm.Frame, error) {
	for {
		c.mu.Lock()
		if len(c.pending) > 0 {
			f := c.pending[0]
			c.pending = c.pending[1:]
			c.mu.Unlock()
			return f, nil
		}
		c.mu.Unlock()
		if err := c.hear(ctx); err != nil {
			return nil, err
		}
	}
}

// hear takes one message.
func (c *hubCarrier) hear(ctx context.Context) error {
	_, b, err := c.conn.Read(ctx, nil)
	if err != nil {
		return hubReason(err)
	}
	var m struct {
		ID, Type string
		Payload  json.RawMessage
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	op := c.ops[m.ID]
	switch {
	case m.Type == "connection_ack":
		c.push(&comm.Frame{Op: comm.OpWelcome})
	case m.Type == "pong":
		var p struct{ ID string }
		_ = json.Unmarshal(m.Payload, &p)
		c.push(&comm.Frame{Op: comm.OpPong, ID: p.ID})
	case op == nil:
	case m.Type == "next":
		return c.next(op, m.Payload)
	case m.Type == "error":
		c.push(hubFailure(op.frame, m.Payload))
		c.ended(op)
	case m.Type == "complete":
		c.ended(op)
	}
	return nil
}

func (c *hubCarrier) push(list ...*comm.Frame) { c.pending = append(c.pending, list...) }

// next takes a response.
func (c *hubCarrier) next(op *hubOp, payload json.RawMessage) error {
	var r struct{ Data, Errors json.RawMessage }
	if err := json.Unmarshal(payload, &r); err != nil {
		return err
	}
	switch {
	case r.Errors != nil:
		c.push(hubFailure(op.frame, r.Errors))
	case op.hears != nil:
		c.push(op.hears(r.Data)...)
	default:
		return c.event(op, r.Data)
	}
	return nil
}

// ended has the next in line begin.
func (c *hubCarrier) ended(op *hubOp) {
	delete(c.ops, op.id)
	if len(c.line) == 0 || c.line[0] != op {
		return
	}
	if c.line = c.line[1:]; len(c.line) > 0 {
		c.start(c.line[0])
	}
}

func (c *hubCarrier) start(op *hubOp) {
	_ = c.write(hubSaid{ID: op.id, Type: "subscribe", Payload: map[string]string{"query": op.query}}) // Receive finds out
}

func (c *hubCarrier) name(op *hubOp) {
	c.ids++
	op.id = strconv.Itoa(c.ids)
	c.ops[op.id] = op
}

// enqueue begins a query or a mutation when those before it are through.
func (c *hubCarrier) enqueue(op *hubOp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.name(op)
	if c.line = append(c.line, op); len(c.line) == 1 {
		c.start(op)
	}
}

// watch begins a subscription.
func (c *hubCarrier) watch(f *comm.Frame, group string) *hubOp {
	c.mu.Lock()
	defer c.mu.Unlock()
	op := &hubOp{frame: f, group: group}
	for _, o := range c.ops {
		op.again = op.again || group != "" && o.group == group && o.hears == nil
	}
	args := ""
	if f.Op == comm.OpJoin || group != "" || f.Group != "" {
		args = "(group: " + strconv.Quote(group)
		if l, ok := f.Position.Get("group:" + group); ok {
			args += ", after: " + strconv.Quote(l.String())
		}
		args += ")"
	}
	op.query = `subscription { messages` + args + ` { ` + everyField + ` } }`
	c.name(op)
	c.start(op)
	return op
}

// event is an event of messages as a frame.
func (c *hubCarrier) event(op *hubOp, data json.RawMessage) error {
	var d struct{ Messages hubEvent }
	if err := json.Unmarshal(data, &d); err != nil {
		return err
	}
	e := &d.Messages
	f := &comm.Frame{Group: e.Group}
	if pos, err := comm.ParsePosition(e.Position); err != nil {
		return err
	} else if logs := pos.Logs(); len(logs) > 0 {
		f.Log = logs[0]
	}
	switch e.Typename {
	case "HubJoined":
		first := !op.began
		op.began = true
		if op.again {
			_ = c.write(hubSaid{ID: op.id, Type: "complete"})
			delete(c.ops, op.id)
		}
		if f.Op, f.ID = comm.OpJoined, op.frame.ID; op.group != "" && first {
			c.push(f)
		}
		return nil
	case "HubLeft":
		f.Op = comm.OpLeft
	case "HubGap":
		f.Op = comm.OpGap
		f.GapFrom, _ = strconv.ParseUint(e.First, 10, 64)
		f.Log.Log, f.Log.Epoch = e.Log, e.Epoch
	default:
		return c.message(f, e)
	}
	c.push(f)
	return nil
}

func (c *hubCarrier) message(f *comm.Frame, e *hubEvent) error {
	b, err := json.Marshal(map[string]any{
		"id": e.ID, "type": e.Type, "content": e.Content, "content_type": e.ContentType, "from": e.From, "to": e.To,
		"timestamp": e.Timestamp, "headers": e.Headers, "metadata": e.Metadata,
	})
	if err != nil {
		return err
	}
	got, err := comm.JSON().ParseFrame(b)
	if err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	got.Log = f.Log
	c.push(got)
	return nil
}

// hubFailure is errors of a response as the error frame that they mean.
func hubFailure(of *comm.Frame, errs json.RawMessage) *comm.Frame {
	var list []struct {
		Message    string
		Extensions struct{ Code string }
	}
	_ = json.Unmarshal(errs, &list)
	f := &comm.Frame{Op: comm.OpError, ID: of.ID, Group: of.Group}
	if len(list) > 0 {
		f.Code, f.Text = comm.Code(strings.ToLower(list[0].Extensions.Code)), list[0].Message
		if _, text, ok := strings.Cut(f.Text, ": "); ok { // without what was to be done
			f.Text = text
		}
	}
	return f
}

// Send makes an operation of a frame.
func (c *hubCarrier) Send(_ context.Context, f *comm.Frame) error {
	if err := c.conn.Err(); err != nil {
		return hubReason(err)
	}
	switch f.Op {
	case comm.OpMessage:
		c.enqueue(&hubOp{query: "mutation { send" + hubArgs(f.Message) + " { id } }", frame: f, hears: func(json.RawMessage) []*comm.Frame {
			if !f.Ack {
				return nil
			}
			return []*comm.Frame{{Op: comm.OpAck, ID: f.ID}}
		}})
	case comm.OpCall:
		c.enqueue(&hubOp{query: "mutation { call" + hubArgs(f.Message) + " }", frame: f, hears: func(data json.RawMessage) []*comm.Frame {
			var d struct{ Call json.RawMessage }
			_ = json.Unmarshal(data, &d)
			return hubReply(f.ID, d.Call)
		}})
	case comm.OpJoin:
		c.watch(f, f.Group)
	case comm.OpLeave:
		c.leave(f)
	case comm.OpPing:
		return c.write(hubSaid{Type: "ping", Payload: map[string]string{"id": f.ID}})
	case comm.OpAck, comm.OpPong: // the server acknowledges for the operation; the carrier pings
	default:
		return fmt.Errorf("the schema has no %v", f.Op)
	}
	return nil
}

func hubReply(id string, content json.RawMessage) []*comm.Frame {
	m, err := comm.NewMessage("reply", content)
	if err != nil {
		return nil
	}
	return []*comm.Frame{{Op: comm.OpReply, ID: id, Message: m}}
}

// hubArgs are a message as arguments: strings are quoted as JSON, which GraphQL reads, and JSON is a literal
// once the names of its members have lost their quotes.
func hubArgs(m *comm.Message) string {
	args := []string{"type: " + literal(m.Type()), "id: " + literal(m.ID())}
	if m.To() != "" {
		args = append(args, "to: "+literal(m.To()))
	}
	var content any
	_ = json.Unmarshal(m.Content(), &content)
	args = append(args, "content: "+literal(content))
	if h := m.Headers(); len(h) > 0 {
		members := make(map[string]any)
		for k, v := range h {
			members[k] = v
		}
		args = append(args, "headers: "+literal(members))
	}
	return "(" + strings.Join(args, ", ") + ")"
}

func literal(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var list []string
		for k, m := range v {
			list = append(list, k+": "+literal(m))
		}
		return "{" + strings.Join(list, ", ") + "}"
	case []any:
		var list []string
		for _, m := range v {
			list = append(list, literal(m))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// leave ends the subscription to a group, and asks until the connection is out of it.
func (c *hubCarrier) leave(f *comm.Frame) {
	c.mu.Lock()
	for id, op := range c.ops {
		if op.group == f.Group && op.hears == nil {
			_ = c.write(hubSaid{ID: id, Type: "complete"})
			delete(c.ops, id)
		}
	}
	c.mu.Unlock()
	op := &hubOp{query: `{ connection { groups } }`, frame: f}
	op.hears = func(data json.RawMessage) []*comm.Frame {
		var d struct{ Connection struct{ Groups []string } }
		_ = json.Unmarshal(data, &d)
		if !slices.Contains(d.Connection.Groups, f.Group) {
			return []*comm.Frame{{Op: comm.OpLeft, ID: f.ID, Group: f.Group, Log: comm.LogPosition{Log: "group:" + f.Group}}}
		}
		again := *op
		c.name(&again)
		again.hears = op.hears
		c.line = slices.Insert(c.line, 1, &again) // behind this one, which is about to end
		return nil
	}
	c.enqueue(op)
}

// Close says goodbye.
func (c *hubCarrier) Close(ctx context.Context) error { return c.conn.Close(ctx, ws.StatusNormal, "") }

// hubReason is what the server meant by a close code.
func hubReason(err error) error {
	ce, ok := errors.AsType[*ws.CloseError](err)
	if !ok {
		return err
	}
	r := comm.CloseReason{Kind: comm.ReasonLost, Text: ce.Reason, Err: err, After: time.Second}
	kinds := map[ws.StatusCode]comm.ReasonKind{
		1000: comm.ReasonNormal, 1001: comm.ReasonDrain, 1009: comm.ReasonTooLarge, 1013: comm.ReasonTryLater, 4002: comm.ReasonSlow,
		4401: comm.ReasonKicked, 4403: comm.ReasonUnauthorized,
	}
	if k, ok := kinds[ce.Code]; ok {
		r.Kind = k
	}
	return r
}
