package graphql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// groupUse is a group that operations of a subscriber take. It is under hubSide.joins.
type groupUse struct {
	members []*membership
	given   bool // the connection was a member before: leaving is not for the operations
}

// membership is one loop of Join.
type membership struct {
	h     *hubSide
	group string
	log   string
	taker *taker

	// Under hubSide.mu.
	id   string           // of the join that makes it live
	live bool             // it takes messages
	at   comm.LogPosition // of the last frame it took
	from comm.LogPosition // where it was asked to begin; zero for now
}

// Join makes the connection a member of a group in the client's name, so that the authorizer decides, and
// yields first the joined frame and then the group's messages and gaps, in order. f.Log of each frame is the
// position from which a client goes on that has seen it: give it back in after. Of a message to several groups a
// connection is given one copy, and f.Log.Log says of which. If an operation of the connection
// joins another of the groups later, from an older position, the copy there may come too. An entry of after for the
// group's log ("group:NAME") has the messages behind it come first; one that the log no longer reaches begins
// with a gap frame, from f.GapFrom to f.Log.Offset, or of an epoch that is over.
//
// Several operations may join one group; each begins where it asks to. If the connection is a member already
// and a position is given, it leaves the group and joins it anew, since the hub replays for those who come:
// hooks are told of that, nothing is lost or doubled for the others, and it counts as one message of the client's. The last loop that ends leaves the
// group, unless the connection was in it before the first.
//
// The loop ends with ctx, which must be that of a subscription's source, or surely end. If the connection is
// taken out of the group, it yields the left frame and ends. Errors: [ErrNoGateway]; a [*comm.PeerError] for
// what the hub refuses, by its Code; ctx's.
func (s *Subscriber) Join(ctx context.Context, group string, after comm.Position) (iter.Seq2[*comm.Frame, error], error) {
	f, err := s.join(ctx, group, after)
	if err != nil {
		return nil, err
	}
	return f.loop(), nil
}

func (s *Subscriber) join(ctx context.Context, group string, after comm.Position) (*takerFeed, error) {
	if s.Conn() == nil {
		return nil, ErrNoGateway
	}
	h := s.hub
	m := &membership{h: h, group: group, log: "group:" + group, id: newAskID()}
	m.from, _ = after.Get(m.log)
	m.taker = newTaker(m.keep)
	pass, err := s.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer pass()
	s.speaks(ctx)
	if !h.joins.take(ctx) {
		return nil, context.Cause(ctx)
	}
	defer h.joins.give()
	if err := h.join(ctx, m); err != nil {
		return nil, err
	}
	return h.feed(ctx, m.taker, true, m.leave), nil
}

// keep decides for the taker.
func (m *membership) keep(f *comm.Frame) bool {
	switch {
	case f.ID == m.id && f.Op == comm.OpJoined:
		m.begin(f)
		return m.live
	case !m.live:
		return false
	}
	switch f.Op {
	case comm.OpMessage:
		if f.Log.Log == m.log {
			return m.advance(f.Log)
		}
		return !m.h.replayed && addresses(f.Message, m.log)
	case comm.OpGap:
		return f.Log.Log == m.log && m.gap(f)
	case comm.OpLeft:
		if f.Group == m.group && !comesAgain(f.ID) {
			m.live = false
			m.taker.endAfter()
			return true
		}
	}
	return false
}

// begin makes it live at the place of a join, or at the place it asked for if the join went back further.
func (m *membership) begin(f *comm.Frame) {
	m.live, m.at = true, f.Log
	if m.from.Epoch == f.Log.Epoch && m.from.Offset > f.Log.Offset {
		m.at = m.from
	}
}

// advance reports whether the message at p is new to it.
func (m *membership) advance(p comm.LogPosition) bool {
	if p.Epoch == m.at.Epoch && p.Offset <= m.at.Offset {
		return false
	}
	m.at = p
	return true
}

// gap reports whether a gap is one of its own, and not of another join.
func (m *membership) gap(f *comm.Frame) bool {
	if f.Log.Epoch != m.at.Epoch {
		lost := m.from.Epoch == f.Log.Epoch
		m.from = comm.LogPosition{} // told once
		return lost
	}
	return m.advance(f.Log)
}

// addresses reports whether a message that does not come from the group's log was sent to the group: one that
// stands in no log, or one to several groups, of which a connection is given one copy.
func addresses(m *comm.Message, group string) bool {
	for to := range strings.SplitSeq(m.To(), ",") {
		if to == group {
			return true
		}
	}
	return false
}

// join makes m live. The joins turn is held.
func (h *hubSide) join(ctx context.Context, m *membership) error {
	use := h.groups[m.group]
	member := slices.Contains(h.conn.Load().Groups(), m.group)
	if use == nil {
		use = &groupUse{given: member}
		h.groups[m.group] = use
	}
	if member {
		m.id = newAgainID()
	}
	var pos comm.Position
	again, ask := member && m.from.Log != "", h.ask
	if again { // once it has left, others depend on its coming back
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(h.s.ctx, hubTime)
		defer cancel()
		err := h.exit(ctx, m.group, newAgainID())
		if _, refused := errors.AsType[*comm.PeerError](err); refused { // such as for the rate: it has not left
			return h.failed(use, m, err)
		}
		if err != nil {
			return h.failed(use, m, h.rejoin(use, m.group, err))
		}
		ask = h.askMore
	}
	if m.from.Log != "" {
		pos.Set(h.earliest(use, m.from))
	}
	h.add(m.taker)
	use.members = append(use.members, m)
	_, err := ask(ctx, &comm.Frame{Op: comm.OpJoin, ID: m.id, Group: m.group, Position: pos})
	if err == nil {
		return nil
	}
	h.remove(m.taker)
	use.members = slices.DeleteFunc(use.members, func(o *membership) bool { return o == m })
	if again {
		err = h.rejoin(use, m.group, err)
	}
	return h.failed(use, m, err)
}

// exit takes the connection out of a group for it to come anew. When the answer is here, the memberships have
// taken all that was before it.
func (h *hubSide) exit(ctx context.Context, group, id string) error {
	_, err := h.ask(ctx, &comm.Frame{Op: comm.OpLeave, ID: id, Group: group})
	return err
}

// earliest is where a join must begin for nobody to lose anything, subscriptions to events among them.
func (h *hubSide) earliest(use *groupUse, from comm.LogPosition) comm.LogPosition {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, ok := h.at.Get(from.Log); ok && at.Epoch == from.Epoch && at.Offset < from.Offset {
		from = at
	}
	for _, o := range use.members {
		if o.live && o.at.Epoch == from.Epoch && o.at.Offset < from.Offset {
			from = o.at
		}
	}
	return from
}

// rejoin puts a connection back that has left in order to come anew and was not let in: by the server's word
// if that had let it in before; else those who were in it are out.
func (h *hubSide) rejoin(use *groupUse, group string, err error) error {
	h.announce(&comm.Frame{Op: comm.OpLeft, Group: group, Log: comm.LogPosition{Log: "group:" + group}})
	if use.given {
		if e := h.conn.Load().Join(group); e != nil {
			return e
		}
		return err
	}
	for _, o := range use.members {
		o.taker.end(fmt.Errorf("graphql: joining group %q again: %w", group, err))
	}
	delete(h.groups, group) // they have nothing to leave
	if _, refused := errors.AsType[*comm.PeerError](err); !refused {
		h.tellLeave(group)
	}
	return err
}

// failed forgets a membership that has not come about. If nobody waited for the hub's answer any more, it
// may be a member all the same.
func (h *hubSide) failed(use *groupUse, m *membership, err error) error {
	if len(use.members) > 0 {
		return err
	}
	if _, refused := errors.AsType[*comm.PeerError](err); !refused && !use.given {
		h.tellLeave(m.group)
	}
	delete(h.groups, m.group)
	return err
}

// tellLeave leaves a group without waiting.
func (h *hubSide) tellLeave(group string) {
	_ = h.tell(&comm.Frame{Op: comm.OpLeave, ID: newAskID(), Group: group}) // it has closed: then it is in no group
}

// leave ends a membership, and with the last one that of the connection.
func (m *membership) leave() {
	h := m.h
	h.remove(m.taker)
	if !h.joins.take(h.s.ctx) {
		return
	}
	defer h.joins.give()
	if h.s.ctx.Err() != nil { // the connection is lost: that is not a word of its client's
		return
	}
	use := h.groups[m.group]
	if use == nil {
		return
	}
	use.members = slices.DeleteFunc(use.members, func(o *membership) bool { return o == m })
	if len(use.members) > 0 {
		return
	}
	delete(h.groups, m.group)
	if use.given || !slices.Contains(h.conn.Load().Groups(), m.group) { // somebody else has taken it out
		return
	}
	ctx, cancel := context.WithTimeout(h.s.ctx, hubTime)
	defer cancel()
	_ = h.exit(ctx, m.group, newAskID()) // the connection has ended, and with it this
}

// hubTime bounds the wait for the hub's answer where no operation's context does. A leave is waited for so that
// leaves do not pile up before the hub; one that is slower is still a leave.
const hubTime = 10 * time.Second
