package graphql

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/anasamu/comm"
)

// hubContent are the arguments of a message.
type hubContent struct {
	Type        string
	Content     json.RawMessage
	ContentType string
	ID          string
	Headers     json.RawMessage
	Metadata    json.RawMessage
}

// hubAddressed are the arguments of a message with an address.
type hubAddressed struct {
	hubContent
	To Opt[string]
}

type hubDelivery struct {
	ID                               string
	Matched, Queued, Dropped, Closed int
	Place                            *string
	Remote                           bool
}

func hubSend(ctx context.Context, _ Root, args hubAddressed) (*hubDelivery, error) {
	to, ok := args.To.Get()
	if ok && to == "" {
		return nil, hubError("send", fmt.Errorf("%w: to is empty: allowed is conn:ID, user:NAME, group:NAME or all", comm.ErrTarget))
	}
	return deliver(ctx, "send", to, &args.hubContent)
}

func hubBroadcast(ctx context.Context, _ Root, args hubContent) (*hubDelivery, error) {
	return deliver(ctx, "broadcast", "all", &args)
}

// deliver sends a message in the client's name, and tells what became of it.
func deliver(ctx context.Context, what, to string, m *hubContent) (*hubDelivery, error) {
	d := new(comm.Delivery)
	id, _, err := m.give(ctx, comm.OpMessage, to, d)
	if err != nil {
		return nil, hubError(what+toward(to), err)
	}
	return &hubDelivery{id, d.Matched, d.Queued, d.Dropped, d.Closed, positionOf(d.Position), d.Remote}, nil
}

type hubReplied struct {
	Content     json.RawMessage
	ContentType string
	Headers     json.RawMessage
}

func hubCall(ctx context.Context, _ Root, args hubAddressed) (*hubReplied, error) {
	to := args.To.Or("")
	_, reply, err := args.give(ctx, comm.OpCall, to, nil)
	if err != nil {
		return nil, hubError("call "+strconv.Quote(shorten(args.Type))+toward(to), err)
	}
	m := reply.Message
	if m == nil {
		return &hubReplied{ContentType: "application/json"}, nil
	}
	content, err := contentOf(m)
	if err != nil {
		return nil, err
	}
	headers, err := rawOf(m.Headers())
	return &hubReplied{content, m.ContentType(), headers}, err
}

func toward(to string) string {
	if to == "" {
		return ""
	}
	return " to " + strconv.Quote(shorten(to))
}

// give has the hub take the message as if it had come in the client protocol, and returns its id and the answer.
func (m *hubContent) give(ctx context.Context, op comm.Op, to string, d *comm.Delivery) (id string, answer *comm.Frame, err error) {
	s, f, err := m.frame(ctx, op, to)
	if err != nil {
		return "", nil, err
	}
	f.Delivery = d
	answer, err = s.Ask(ctx, f)
	return f.Message.ID(), answer, err
}

// frame is the message in the client protocol.
func (m *hubContent) frame(ctx context.Context, op comm.Op, to string) (*Subscriber, *comm.Frame, error) {
	if m.ID == "" {
		m.ID = rand.Text()
	}
	return toSay(ctx, struct {
		Op          string          `json:"op"`
		ID          string          `json:"id"`
		Type        string          `json:"type"`
		To          string          `json:"to,omitempty"`
		Content     json.RawMessage `json:"content,omitempty"`
		ContentType string          `json:"content_type,omitempty"`
		Headers     json.RawMessage `json:"headers,omitempty"`
		Metadata    json.RawMessage `json:"metadata,omitempty"`
		Ack         bool            `json:"ack,omitempty"`
	}{op.String(), m.ID, m.Type, to, m.Content, m.ContentType, m.Headers, m.Metadata, op == comm.OpMessage})
}
