package graphql

import (
	"context"

	"github.com/anasamu/comm"
)

// hubJoin makes the connection a member by the client's word alone: it stays one when its subscriptions end.
func hubJoin(ctx context.Context, _ Root, args struct{ Group, After string }) (*hubJoined, error) {
	what := "join" + ofGroup(args.Group)
	after, err := afterOf(args.Group, args.After)
	if err != nil {
		return nil, hubError(what, err)
	}
	f, err := member(ctx, &comm.Frame{Op: comm.OpJoin, Group: args.Group, Position: after})
	if err != nil {
		return nil, hubError(what, err)
	}
	j := joinedOf(f, positionOf(f.Log))
	return &j, nil
}

func hubLeave(ctx context.Context, _ Root, args struct{ Group string }) (*hubLeft, error) {
	if _, err := member(ctx, &comm.Frame{Op: comm.OpLeave, Group: args.Group}); err != nil {
		return nil, hubError("leave"+ofGroup(args.Group), err)
	}
	return &hubLeft{Group: args.Group}, nil
}

// member joins or leaves, between what subscriptions to messages do with the group.
func member(ctx context.Context, f *comm.Frame) (*comm.Frame, error) {
	s, err := actor(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := s.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer pass()
	h := s.hub
	if !h.joins.take(ctx) {
		return nil, context.Cause(ctx)
	}
	defer h.joins.give()
	answer, err := s.Ask(ctx, f)
	if err != nil {
		return nil, err
	}
	switch use := h.groups[f.Group]; {
	case use == nil:
	case f.Op == comm.OpLeave: // its subscriptions have been told, and have nothing to leave
		delete(h.groups, f.Group)
	default:
		use.given = true
	}
	return answer, nil
}
