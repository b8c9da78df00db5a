package comm

import (
	"cmp"
	"context"
	"errors"
)

// WithTo addresses a message that a [Client] sends, to other clients in the place of the service's handler: target is
// ToConn, ToUser, ToGroup or ToAll. The server's authorizer is asked for [ActionSend], or [ActionCall] for a call, which
// reaches one connection. What the service itself sends goes where [Manager.Send] is told, and the option is only what
// its receivers read in [Message.To]. Any other target is a *MessageError: the protocol has no word for several names and
// for what narrows them.
func WithTo(target Target) MessageOption {
	return messageOption(func(m *Message) error {
		if target.check() != nil || len(target.more) > 0 || target.only != nil || target.where != nil {
			return &MessageError{"to", shorten(target.String()), "ToConn, ToUser, ToGroup or ToAll, not narrowed"}
		}
		m.to = target.String()
		return nil
	})
}

// JoinFrom is Join with what the group's history still holds behind a place: the zero LogPosition is before all of it,
// and its Log is not looked at. The messages come to the handlers in their order, before those that are sent from now
// on; what of them is lost is told to WithOnGap. In a group that the client is in already it is Join: its messages go on
// where they are. Errors: those of Join.
func (c *Client) JoinFrom(ctx context.Context, group string, after LogPosition) error {
	key := kindPrefix[targetGroup] + group
	c.mu.Lock()
	if _, known := c.position.Get(key); !known && checkGroup(group) == nil {
		c.position.Set(LogPosition{Log: key, Epoch: cmp.Or(after.Epoch, "0"), Offset: after.Offset})
	}
	c.mu.Unlock()
	err := c.Join(ctx, group)
	if _, refused := errors.AsType[*PeerError](err); refused {
		c.mu.Lock()
		c.position.Remove(key)
		c.mu.Unlock()
	}
	return err
}

// Presence returns who is in a group, sorted by user, if the authorizer allows [ActionPresence]. Errors: a *PeerError
// where the server refuses, and those of Call.
func (c *Client) Presence(ctx context.Context, group string) ([]Presence, error) {
	if err := checkGroup(group); err != nil {
		return nil, err
	}
	return listOf[Presence](c.request(ctx, "", &Frame{Op: OpPresence, Group: group}))
}

// Connections returns the connections that a target names, at most 1,000 of them, if the authorizer allows [ActionList].
// The target is one that WithTo takes. Errors: a *PeerError where the server refuses, a *MessageError for another
// target, and those of Call.
func (c *Client) Connections(ctx context.Context, target Target) ([]ConnInfo, error) {
	var m Message
	if err := WithTo(target).applyMessage(&m); err != nil {
		return nil, err
	}
	return listOf[ConnInfo](c.request(ctx, "", &Frame{Op: OpList, Target: m.to}))
}

// CloseConnection closes another client's connection, as [Manager.CloseConnection] does, if the authorizer allows
// [ActionClose]. Errors: a *PeerError where the server refuses, with not_found for a connection that is not there, and
// those of Call.
func (c *Client) CloseConnection(ctx context.Context, id string) error {
	var m Message
	if err := WithTo(ToConn(id)).applyMessage(&m); err != nil {
		return err
	}
	_, err := c.request(ctx, "", &Frame{Op: OpClose, Target: m.to})
	return err
}

// listOf decodes the reply to a request for a list.
func listOf[T any](reply *Message, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return Decode[[]T](reply)
}
