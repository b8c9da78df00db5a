package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/anasamu/comm"
)

// hubFailure is the input HubFailure.
type hubFailure struct{ Code, Message string }

// hubAnswer is a frame of the client's that answers one of the hub's, in the client protocol.
type hubAnswer struct {
	Op          string          `json:"op"`
	ID          string          `json:"id"`
	Content     json.RawMessage `json:"content,omitempty"`
	ContentType string          `json:"content_type,omitempty"`
	Headers     json.RawMessage `json:"headers,omitempty"`
	Code        string          `json:"code,omitempty"`
	Message     string          `json:"message,omitempty"`
}

func hubReply(ctx context.Context, _ Root, args struct {
	ID          string
	Content     json.RawMessage
	ContentType string
	Headers     json.RawMessage
	Error       *hubFailure
},
) (bool, error) {
	a := hubAnswer{Op: comm.OpReply.String(), ID: args.ID, Content: args.Content, ContentType: args.ContentType, Headers: args.Headers}
	return a.give(ctx, "reply", args.Error)
}

func hubAck(ctx context.Context, _ Root, args struct {
	ID    string
	Error *hubFailure
},
) (bool, error) {
	a := hubAnswer{Op: comm.OpAck.String(), ID: args.ID}
	return a.give(ctx, "ack", args.Error)
}

// give has the hub take the answer, or the failure in its stead.
func (a *hubAnswer) give(ctx context.Context, what string, failure *hubFailure) (bool, error) {
	if failure != nil {
		a = &hubAnswer{Op: comm.OpError.String(), ID: a.ID, Code: strings.ToLower(failure.Code), Message: failure.Message}
	}
	if err := a.tell(ctx); err != nil {
		return false, hubError(fmt.Sprintf("%s to %q", what, shorten(a.ID)), err)
	}
	return true, nil
}

func (a *hubAnswer) tell(ctx context.Context) error {
	if a.Op == comm.OpError.String() && (a.Code == "" || len(a.Code) > comm.MaxTypeLength) {
		return badArgument("error.code", fmt.Sprintf("%q", shorten(a.Code)), fmt.Sprintf("1 to %d bytes", comm.MaxTypeLength))
	}
	s, f, err := toSay(ctx, a)
	if err != nil {
		return err
	}
	return s.hub.speak(ctx, f)
}

// toSay makes a frame of what is one in the client protocol, by whose codec all its rules are kept, and finds who says
// it. It refuses what is larger than a client's frame may be.
func toSay(ctx context.Context, v any) (*Subscriber, *comm.Frame, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, nil, err
	}
	f, err := comm.JSON().ParseFrame(b)
	if err != nil {
		return nil, nil, err
	}
	s, err := actor(ctx)
	if err != nil {
		return nil, nil, err
	}
	if most := s.hub.host.Settings().MaxMessage; len(b) > most {
		return nil, nil, &comm.PeerError{Code: comm.CodeTooLarge, Message: fmt.Sprintf("a message of %d bytes: at most %d", len(b), most)}
	}
	return s, f, nil
}

func hubRefresh(ctx context.Context, _ Root, args struct{ Token string }) (*hubIdentity, error) {
	const what = "refresh"
	s, err := actor(ctx)
	if err != nil {
		return nil, hubError(what, err)
	}
	f, err := s.Ask(ctx, &comm.Frame{Op: comm.OpAuth, Token: args.Token})
	if err != nil {
		return nil, hubError(what, err)
	}
	s.hub.remind(f.Expires)
	return &hubIdentity{orNull(s.Conn().User()), timeOrNull(f.Expires)}, nil
}

func hubClose(ctx context.Context, _ Root, args struct{ ID string }) (bool, error) {
	what := fmt.Sprintf("close connection %q", shorten(args.ID))
	s, err := actor(ctx)
	if err != nil {
		return false, hubError(what, err)
	}
	if _, err := s.Ask(ctx, &comm.Frame{Op: comm.OpClose, Target: "conn:" + args.ID}); err != nil {
		return false, hubError(what, err)
	}
	return true, nil
}
