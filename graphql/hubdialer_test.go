package graphql_test

import (
	"bytes"
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

// hubDialer is a client of the gateway's protocol that speaks GraphQL: it says hello in connection_init, subscribes
// to events, and makes of each frame an operation of the schema of graphql.Hub over graphql-transport-ws.
type hubDialer struct{ e commtest.Endpoint }

func (hubDialer) Name() string { return "graphql" }

// Dial says hello and subscribes at once: what the server answers is the first frame of Receive.
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
	if err := c.begin(hello); err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	return c, nil
}

// hubOp is an operation under way, and the frame that it stands for.
type hubOp struct {
	id    string
	frame *comm.Frame
	hears func(data json.RawMessage) *comm.Frame // what the answer means; nil is nothing
}

type hubCarrier struct {
	conn *ws.Conn

	mu      sync.Mutex // guards the fields below
	ids     int
	ops     map[string]*hubOp
	moves   []*comm.Frame // joins and leaves, which the events joined and left answer
	at      comm.Position // of the last event
	welcome *comm.Frame   // from the acknowledgement, until the subscription stands
	pending []*comm.Frame
}

type hubSaid struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

func (c *hubCarrier) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.conn.Write(context.Background(), ws.Text, b)
}

func (c *hubCarrier) begin(hello *comm.Frame) error {
	b, err := comm.JSON().AppendFrame(nil, hello)
	if err != nil {
		return err
	}
	members := make(map[string]any)
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	delete(members, "op")
	members["version"] = hello.Hello.Version
	if err := c.write(hubSaid{Type: "connection_init", Payload: map[string]any{"comm": members}}); err != nil {
		return err
	}
	return nil
}

const allEvents = `subscription { events { ` + everyField + ` } }`

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

// nextEvent begins the responses to the subscription.
var nextEvent = []byte(`{"id":"events","type":"next"`)

// hear takes one message.
func (c *hubCarrier) hear(ctx context.Context) error {
	_, b, err := c.conn.Read(ctx, nil)
	if err != nil {
		return hubReason(err)
	}
	if bytes.HasPrefix(b, nextEvent) { // most are, and some are large: they are read once
		var m struct {
			Payload struct{ Data struct{ Events hubEvent } }
		}
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		e := m.Payload.Data.Events.plain()
		return c.event(&e)
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
		return c.welcomed(m.Payload)
	case m.Type == "pong":
		var p struct{ ID string }
		_ = json.Unmarshal(m.Payload, &p)
		c.push(&comm.Frame{Op: comm.OpPong, ID: p.ID})
	case op == nil:
	case m.Type == "next":
		return c.answered(op, m.Payload)
	case m.Type == "error":
		c.failed(op, m.Payload)
		delete(c.ops, op.id)
	case m.Type == "complete":
		delete(c.ops, op.id)
	}
	return nil
}

func (c *hubCarrier) push(f *comm.Frame) {
	if f != nil {
		c.pending = append(c.pending, f)
	}
}

// welcomed takes the acknowledgement, and subscribes. The client is told of its welcome when the subscription has
// begun: from then on it hears why the connection ends.
func (c *hubCarrier) welcomed(payload json.RawMessage) error {
	var p struct{ Comm json.RawMessage }
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	f, err := comm.JSON().ParseFrame(p.Comm)
	if err != nil {
		return err
	}
	c.welcome = f
	return c.write(hubSaid{ID: "events", Type: "subscribe", Payload: map[string]string{"query": allEvents}})
}

// answered takes the response of a query or a mutation.
func (c *hubCarrier) answered(op *hubOp, payload json.RawMessage) error {
	var r struct{ Data, Errors json.RawMessage }
	if err := json.Unmarshal(payload, &r); err != nil {
		return err
	}
	switch {
	case r.Errors != nil:
		c.failed(op, r.Errors)
	case op.hears != nil:
		c.push(op.hears(r.Data))
	}
	return nil
}

// failed tells of errors by the error frame that they mean.
func (c *hubCarrier) failed(op *hubOp, errs json.RawMessage) {
	var list []struct {
		Message    string
		Extensions struct{ Code string }
	}
	_ = json.Unmarshal(errs, &list)
	f := &comm.Frame{Op: comm.OpError, ID: op.frame.ID, Group: op.frame.Group}
	if len(list) > 0 {
		f.Code, f.Text = codeOf(list[0].Extensions.Code), list[0].Message
		if _, text, ok := strings.Cut(f.Text, ": "); ok { // without what was to be done
			f.Text = text
		}
	}
	c.moves = slices.DeleteFunc(c.moves, func(m *comm.Frame) bool { return m == op.frame })
	c.push(f)
}

func codeOf(code string) comm.Code { return comm.Code(strings.ToLower(code)) }

// event makes a frame of an event.
func (c *hubCarrier) event(e *hubEvent) error {
	if err := c.moved(e); err != nil {
		return err
	}
	f := &comm.Frame{ID: e.ID, Group: e.Group, Ack: e.Ack}
	if place, err := comm.ParsePosition(e.Place); err != nil {
		return err
	} else if logs := place.Logs(); len(logs) > 0 {
		f.Log = logs[0]
	}
	switch e.Typename {
	case "HubWelcome":
		c.push(c.welcome)
		return nil
	case "HubExpiring":
		return nil
	case "HubJoined":
		f.Op, f.ID = comm.OpJoined, c.move(comm.OpJoin, e.Group)
	case "HubLeft":
		f.Op, f.ID, f.Log.Log = comm.OpLeft, c.move(comm.OpLeave, e.Group), "group:"+e.Group
	case "HubGap":
		f.Op = comm.OpGap
		f.GapFrom, _ = strconv.ParseUint(e.First, 10, 64)
		last, _ := strconv.ParseUint(e.Last, 10, 64)
		f.Log = comm.LogPosition{Log: e.Log, Epoch: e.Epoch, Offset: last}
	case "HubError":
		f.Op, f.Code, f.Text = comm.OpError, codeOf(e.Code), e.Message
	case "HubClosing":
		f.Op, f.Code, f.Text = comm.OpClosing, codeOf(e.Code), e.Message
		f.Closing = &comm.Closing{Reconnect: e.Reconnect, After: time.Duration(e.After * float64(time.Second))}
	default:
		return c.message(f, e)
	}
	c.push(f)
	return nil
}

// moved holds the position of an event to its promise: no log in it goes back.
func (c *hubCarrier) moved(e *hubEvent) error {
	at, err := comm.ParsePosition(e.Position)
	if err != nil {
		return err
	}
	for _, l := range at.Logs() {
		if before, ok := c.at.Get(l.Log); ok && before.Epoch == l.Epoch && before.Offset > l.Offset {
			return fmt.Errorf("the position goes from %v back to %v", c.at, at)
		}
	}
	c.at = at
	return nil
}

// move is the id of the join or leave that an event answers, or "" if the server has done it.
func (c *hubCarrier) move(op comm.Op, group string) string {
	for i, f := range c.moves {
		if f.Op == op && f.Group == group && group != "" {
			c.moves = slices.Delete(c.moves, i, i+1)
			return f.ID
		}
	}
	return ""
}

func (c *hubCarrier) message(f *comm.Frame, e *hubEvent) error {
	op := comm.OpMessage
	if e.Typename == "HubCall" {
		op = comm.OpCall
	}
	head, err := json.Marshal(map[string]any{
		"op": op.String(), "id": e.ID, "type": e.Type, "content_type": e.ContentType, "from": e.From, "to": e.To,
		"timestamp": e.Timestamp, "headers": e.Headers, "metadata": e.Metadata,
	})
	if err != nil {
		return err
	}
	b := append(head[:len(head)-1], `,"content":`...)
	got, err := comm.JSON().ParseFrame(append(append(b, e.Content...), '}'))
	if err != nil {
		return err
	}
	got.Log, got.Ack = f.Log, f.Ack
	c.push(got)
	return nil
}

func parsed(members map[string]any) (*comm.Frame, error) {
	b, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return comm.JSON().ParseFrame(b)
}

// Send makes an operation of a frame. The server keeps their order, so that none waits for another one's answer.
func (c *hubCarrier) Send(_ context.Context, f *comm.Frame) error {
	if err := c.conn.Err(); err != nil {
		return hubReason(err)
	}
	switch f.Op {
	case comm.OpPing:
		return c.write(hubSaid{Type: "ping", Payload: map[string]string{"id": f.ID}})
	case comm.OpPong: // WebSocket has its own
		return nil
	}
	query, hears, err := operationOf(f)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids++
	op := &hubOp{id: strconv.Itoa(c.ids), frame: f, hears: hears}
	c.ops[op.id] = op
	if f.Op == comm.OpJoin || f.Op == comm.OpLeave {
		c.moves = append(c.moves, f)
	}
	return c.write(hubSaid{ID: op.id, Type: "subscribe", Payload: map[string]string{"query": query}})
}

// operationOf is a frame of a client as an operation, and what its answer means.
func operationOf(f *comm.Frame) (query string, hears func(json.RawMessage) *comm.Frame, err error) {
	ack := func(json.RawMessage) *comm.Frame { return &comm.Frame{Op: comm.OpAck, ID: f.ID} }
	switch f.Op {
	case comm.OpMessage:
		if !f.Ack {
			ack = nil
		}
		return "mutation { send" + hubArgs(f.Message) + " { id } }", ack, nil
	case comm.OpCall:
		return "mutation { call" + hubArgs(f.Message) + " { content contentType headers } }", replied(f.ID), nil
	case comm.OpJoin:
		after := ""
		if l, ok := f.Position.Get("group:" + f.Group); ok {
			after = ", after: " + literal(l.String())
		}
		return "mutation { join(group: " + literal(f.Group) + after + ") { group } }", nil, nil
	case comm.OpLeave:
		return "mutation { leave(group: " + literal(f.Group) + ") { group } }", nil, nil
	case comm.OpAck:
		return "mutation { ack(id: " + literal(f.ID) + ") }", nil, nil
	case comm.OpError:
		failure := "error: {code: " + literal(string(f.Code)) + ", message: " + literal(f.Text) + "}"
		return "mutation { ack(id: " + literal(f.ID) + ", " + failure + ") reply(id: " + literal(f.ID) + ", " + failure + ") }", nil, nil
	case comm.OpReply:
		return "mutation { reply(id: " + literal(f.ID) + ", " + contentArgs(f.Message) + ") }", nil, nil
	case comm.OpAuth:
		return "mutation { refresh(token: " + literal(f.Token) + ") { expires } }", authed(f.ID), nil
	case comm.OpClose:
		return "mutation { close(id: " + literal(strings.TrimPrefix(f.Target, "conn:")) + ") }", ack, nil
	case comm.OpPresence:
		return "{ presence(group: " + literal(f.Group) + ") { user conns: connections since } }", listed(f.ID, "presence"), nil
	case comm.OpList:
		group, ok := strings.CutPrefix(f.Target, "group:")
		if ok {
			group = "group: " + literal(group) + ", "
		} else {
			group = ""
		}
		return "{ connections(" + group + "first: 100) { nodes { id provider user groups labels metadata since } } }", listed(f.ID, "connections"), nil
	case comm.OpHello: // the protocol ends a connection that begins twice
		return "", nil, errors.New("connection_init comes once")
	}
	return "", nil, fmt.Errorf("the schema has no %v", f.Op)
}

func replied(id string) func(json.RawMessage) *comm.Frame {
	return func(data json.RawMessage) *comm.Frame {
		var d struct {
			Call struct {
				Content     json.RawMessage `json:"content"`
				ContentType string          `json:"contentType"`
				Headers     json.RawMessage `json:"headers"`
			}
		}
		_ = json.Unmarshal(data, &d)
		f, err := parsed(map[string]any{"op": "reply", "id": id, "content": d.Call.Content, "content_type": d.Call.ContentType, "headers": d.Call.Headers})
		if err != nil {
			return nil
		}
		return f
	}
}

func authed(id string) func(json.RawMessage) *comm.Frame {
	return func(data json.RawMessage) *comm.Frame {
		var d struct{ Refresh struct{ Expires time.Time } }
		_ = json.Unmarshal(data, &d)
		return &comm.Frame{Op: comm.OpAuthed, ID: id, Expires: d.Refresh.Expires}
	}
}

// listed is the reply with the list of a field, or of its nodes.
func listed(id, field string) func(json.RawMessage) *comm.Frame {
	return func(data json.RawMessage) *comm.Frame {
		var d map[string]json.RawMessage
		_ = json.Unmarshal(data, &d)
		var page struct{ Nodes json.RawMessage }
		list := d[field]
		if json.Unmarshal(list, &page) == nil && page.Nodes != nil {
			list = page.Nodes
		}
		f, err := parsed(map[string]any{"op": "reply", "id": id, "content": list})
		if err != nil {
			return nil
		}
		return f
	}
}

func hubArgs(m *comm.Message) string {
	args := []string{"type: " + literal(m.Type()), "id: " + literal(m.ID()), contentArgs(m)}
	if m.To() != "" {
		args = append(args, "to: "+literal(m.To()))
	}
	return "(" + strings.Join(args, ", ") + ")"
}

// contentArgs are content and headers as arguments.
func contentArgs(m *comm.Message) string {
	var content any
	_ = json.Unmarshal(m.Content(), &content)
	args := "content: " + literal(content)
	if h := m.Headers(); len(h) > 0 {
		members := make(map[string]any)
		for k, v := range h {
			members[k] = v
		}
		args += ", headers: " + literal(members)
	}
	return args
}

// literal is JSON as GraphQL has it: strings are the same, and names of members have no quotes.
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

// Close says goodbye.
func (c *hubCarrier) Close(ctx context.Context) error { return c.conn.Close(ctx, ws.StatusNormal, "") }

// hubReason is what the server meant by a close code, for a client that was told nothing by an event.
func hubReason(err error) error {
	ce, ok := errors.AsType[*ws.CloseError](err)
	if !ok || ce.Local || ce.Code == ws.StatusAbnormal || ce.Code == ws.StatusNoStatus {
		return err
	}
	r := comm.CloseReason{Kind: comm.ReasonLost, Text: ce.Reason, Err: err}
	kinds := map[ws.StatusCode]comm.ReasonKind{
		1000: comm.ReasonNormal, 1001: comm.ReasonDrain, 1009: comm.ReasonTooLarge, 1013: comm.ReasonTryLater, 4002: comm.ReasonSlow,
		4400: comm.ReasonProtocol, 4401: comm.ReasonKicked, 4403: comm.ReasonUnauthorized,
	}
	if k, ok := kinds[ce.Code]; ok {
		r.Kind = k
	}
	return r
}
