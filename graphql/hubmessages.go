package graphql

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// hubEvent is one of the types below, or hubWelcome.
type hubEvent any

type hubMessage struct {
	ID, Type    string
	Content     json.RawMessage
	ContentType string
	From, To    *string
	Timestamp   time.Time
	Headers     json.RawMessage
	Metadata    json.RawMessage
	Ack         bool
	Place       *string
	Position    *string
}

type hubCalled struct {
	ID, Type          string
	Content           json.RawMessage
	ContentType       string
	From              *string
	Timestamp         time.Time
	Headers, Metadata json.RawMessage
	Position          *string
}

type hubJoined struct {
	Group, Place, Position *string
}

type hubLeft struct {
	Group    string
	Position *string
}

type hubGap struct {
	Log, Epoch     string
	First          string
	Last, Position *string
}

type hubRefused struct {
	ID, Group *string
	Code      string
	Message   string
	Position  *string
}

type hubClosing struct {
	Code      string
	Message   *string
	Reconnect bool
	After     float64
	Position  *string
}

// hubMessages is the source of Subscription.messages.
func hubMessages(ctx context.Context, args struct {
	Group Opt[string]
	After string
},
) (feed[hubEvent], error) {
	s := TransportOf(ctx).Subscriber
	group, ok := args.Group.Get()
	if !ok {
		return ownMessages(ctx, s, args.After)
	}
	what := "messages" + ofGroup(group)
	after, err := afterOf(group, args.After)
	if err != nil {
		return nil, hubError(what, err)
	}
	frames, err := s.join(ctx, group, after)
	if err != nil {
		return nil, hubError(what, err)
	}
	log := "group:" + group
	return &eventReader{takerFeed: frames, what: what, of: func(l string) bool { return l == log }}, nil
}

// ofGroup names a group in what was to be done.
func ofGroup(group string) string { return " of " + strconv.Quote("group:"+shorten(group)) }

// afterOf is the position that a client gives back, of which the group's place counts.
func afterOf(group, text string) (comm.Position, error) {
	after, err := comm.ParsePosition(text)
	if err != nil {
		return after, &comm.PeerError{Code: comm.CodeBadPosition, Message: err.Error()}
	}
	if _, ok := after.Get("group:" + group); !ok && text != "" {
		return after, &comm.PeerError{
			Code:    comm.CodeBadPosition,
			Message: "after " + strconv.Quote(shorten(text)) + " is of other logs: allowed is the position of an event of this group",
		}
	}
	return after, nil
}

// ownMessages is what reaches the connection by another way than a group.
func ownMessages(ctx context.Context, s *Subscriber, after string) (feed[hubEvent], error) {
	const what = "messages"
	switch {
	case after != "":
		return nil, hubError(what, &comm.PeerError{
			Code: comm.CodeBadPosition,
			Message: "after " + strconv.Quote(shorten(after)) + " without a group: allowed is a position together with its group; " +
				"what the client's user and everyone were sent goes on in events, at the position that the hello gives",
		})
	case s.Conn() == nil:
		return nil, hubError(what, ErrNoGateway)
	}
	pass, err := s.turn(ctx)
	if err != nil {
		return nil, hubError(what, err)
	}
	defer pass()
	frames, err := s.frames(ctx, isOwnMessage)
	if err != nil {
		return nil, hubError(what, err)
	}
	r := &eventReader{takerFeed: frames, what: what, at: s.hub.standing(), of: isOwnLog}
	r.first = hubJoined{Position: r.position()}
	return r, nil
}

// standing is how far the connection has been given the logs of its user and of everyone.
func (h *hubSide) standing() (at comm.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.at.Logs() {
		if isOwnLog(l.Log) {
			at.Set(l)
		}
	}
	return at
}

func isOwnLog(log string) bool { return !strings.HasPrefix(log, "group:") }

func isOwnMessage(f *comm.Frame) bool {
	if f.Op == comm.OpGap {
		return isOwnLog(f.Log.Log)
	}
	return f.Op == comm.OpMessage && isOwnLog(f.Log.Log) && !strings.HasPrefix(f.Message.To(), "group:")
}

func joinedOf(f *comm.Frame, at *string) hubJoined {
	return hubJoined{orNull(f.Group), positionOf(f.Log), at}
}

func gapOf(f *comm.Frame, at *string) hubGap {
	g := hubGap{Log: f.Log.Log, Epoch: f.Log.Epoch, First: strconv.FormatUint(f.GapFrom, 10), Position: at}
	if f.Log.Offset > 0 {
		g.Last = orNull(strconv.FormatUint(f.Log.Offset, 10))
	}
	return g
}

// messageFrom is a frame of a message or a call.
func messageFrom(f *comm.Frame, at *string) (hubMessage, error) {
	m := f.Message
	content, err := contentOf(m)
	if err != nil {
		return hubMessage{}, err
	}
	headers, err := rawOf(m.Headers())
	return hubMessage{
		ID: m.ID(), Type: m.Type(), Content: content, ContentType: m.ContentType(), From: orNull(m.From()), To: orNull(m.To()),
		Timestamp: m.Timestamp(), Headers: headers, Metadata: m.Metadata(), Place: positionOf(f.Log), Position: at,
	}, err
}
