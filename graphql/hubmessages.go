package graphql

import (
	"context"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// hubEvent is one of the types below.
type hubEvent any

type hubMessage struct {
	ID, Type    string
	Content     json.RawMessage
	ContentType string
	From, To    *string
	Timestamp   time.Time
	Headers     json.RawMessage
	Metadata    json.RawMessage
	Position    *string
}

type hubJoined struct {
	Group    *string
	Position *string
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

// hubMessages is the source of Subscription.messages.
func hubMessages(ctx context.Context, args struct {
	Group Opt[string]
	After string
},
) (iter.Seq2[hubEvent, error], error) {
	s := TransportOf(ctx).Subscriber
	group, ok := args.Group.Get()
	if !ok {
		return ownMessages(ctx, s, args.After)
	}
	what := "messages of " + strconv.Quote("group:"+shorten(group))
	after, err := afterOf(group, args.After)
	if err != nil {
		return nil, hubError(what, err)
	}
	if s == nil {
		return nil, hubError(what, ErrNoGateway)
	}
	frames, err := s.Join(ctx, group, after)
	if err != nil {
		return nil, hubError(what, err)
	}
	return hubEvents(frames, what, "group:"+group), nil
}

// afterOf is the position that a client gives back.
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
func ownMessages(ctx context.Context, s *Subscriber, after string) (iter.Seq2[hubEvent, error], error) {
	const what = "messages"
	switch {
	case after != "":
		return nil, hubError(what, &comm.PeerError{Code: comm.CodeBadPosition, Message: "after needs a group: only what was said in a group can be had again"})
	case s == nil:
		return nil, hubError(what, ErrNoGateway)
	}
	frames, err := s.Frames(ctx, isOwnMessage)
	if err != nil {
		return nil, hubError(what, err)
	}
	events := hubEvents(frames, what, "")
	return func(yield func(hubEvent, error) bool) {
		if yield(hubJoined{}, nil) {
			events(yield)
		}
	}, nil
}

func isOwnMessage(f *comm.Frame) bool {
	if f.Op == comm.OpGap {
		return !strings.HasPrefix(f.Log.Log, "group:")
	}
	return f.Op == comm.OpMessage && !strings.HasPrefix(f.Log.Log, "group:") && !strings.HasPrefix(f.Message.To(), "group:")
}

// hubEvents turns frames into events, whose positions are those of one log or none.
func hubEvents(frames iter.Seq2[*comm.Frame, error], what, log string) iter.Seq2[hubEvent, error] {
	return func(yield func(hubEvent, error) bool) {
		for f, err := range frames {
			var e hubEvent
			if err == nil {
				e, err = eventOf(f, log)
			} else {
				err = hubError(what, err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func eventOf(f *comm.Frame, log string) (hubEvent, error) {
	var at *string
	if f.Log.Log == log { // a message to several groups stands in another log
		at = positionOf(f.Log)
	}
	switch f.Op {
	case comm.OpJoined:
		return hubJoined{&f.Group, at}, nil
	case comm.OpLeft:
		return hubLeft{f.Group, at}, nil
	case comm.OpGap:
		return gapOf(f, at), nil
	}
	return messageFrom(f.Message, at)
}

func gapOf(f *comm.Frame, at *string) hubGap {
	g := hubGap{Log: f.Log.Log, Epoch: f.Log.Epoch, First: strconv.FormatUint(f.GapFrom, 10)}
	if f.Log.Offset > 0 {
		g.Last = orNull(strconv.FormatUint(f.Log.Offset, 10))
		g.Position = at
	}
	return g
}

func messageFrom(m *comm.Message, at *string) (hubEvent, error) {
	content, err := contentOf(m)
	if err != nil {
		return nil, err
	}
	headers, err := rawOf(m.Headers())
	return hubMessage{
		ID: m.ID(), Type: m.Type(), Content: content, ContentType: m.ContentType(), From: orNull(m.From()), To: orNull(m.To()),
		Timestamp: m.Timestamp(), Headers: headers, Metadata: m.Metadata(), Position: at,
	}, err
}
