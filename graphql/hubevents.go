package graphql

import (
	"context"
	"slices"
	"time"

	"github.com/anasamu/comm"
)

// firstTaker takes what the hub says to a client that has said hello, until its first subscription to events takes
// its place: the hub begins with the groups of the hello and with what was missed.
type firstTaker struct {
	*taker
	timer *time.Timer // ends the wait for the subscription; nil until the client may subscribe
}

// expectEvents begins to take. The manager does not know the connection yet.
func (h *hubSide) expectEvents() {
	h.first = &firstTaker{taker: h.newEventsTaker()}
	h.takers = []*taker{h.first.taker}
}

// waitForEvents bounds the wait for the subscription from now on.
func (h *hubSide) waitForEvents(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first != nil {
		h.first.timer = time.AfterFunc(d, func() { h.dropFirst(nil) })
	}
}

// endFirst ends the wait, and returns who has taken until now, or nil. A timer that is not there yet finds nothing to
// do. h.mu is held.
func (h *hubSide) endFirst() *taker {
	first := h.first
	if first == nil {
		return nil
	}
	h.first = nil
	if first.timer != nil {
		first.timer.Stop()
	}
	return first.taker
}

// dropFirst is the end of the wait: what was taken so far is nobody's. It reports whether t, or with nil anybody, has
// waited.
func (h *hubSide) dropFirst(t *taker) bool {
	h.mu.Lock()
	if h.first == nil || t != nil && h.first.taker != t {
		h.mu.Unlock()
		return false
	}
	first := h.endFirst()
	h.mu.Unlock()
	h.remove(first)
	return true
}

// newEventsTaker takes everything that the client itself is meant to know. Answers are with who has asked.
func (h *hubSide) newEventsTaker() *taker {
	t := newTaker(func(f *comm.Frame) bool {
		switch f.Op {
		case comm.OpMessage, comm.OpGap:
			return !h.replayed
		case comm.OpJoined, comm.OpLeft:
			return !comesAgain(f.ID)
		case comm.OpError:
			return !isOwn(f.ID)
		case comm.OpCall, comm.OpClosing, opExpiring:
			return true
		}
		return false
	})
	t.events = true
	return t
}

// takeEvents takes the place of the first taker, or begins where the connection is.
func (h *hubSide) takeEvents() (t *taker, at comm.Position, first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t = h.endFirst(); t != nil {
		return t, at, true
	}
	t = h.newEventsTaker()
	h.takers = append(slices.Clip(h.takers), t)
	return t, h.at.Clone(), false
}

// hubEvents is the source of Subscription.events.
func hubEvents(ctx context.Context, _ NoArgs) (feed[hubEvent], error) {
	const what = "events"
	s := TransportOf(ctx).Subscriber
	if s.Conn() == nil {
		return nil, hubError(what, ErrNoGateway)
	}
	pass, err := s.turn(ctx)
	if err != nil {
		return nil, hubError(what, err)
	}
	defer pass()
	t, at, first := s.hub.takeEvents()
	s.hub.remind(s.Conn().Identity().Expires)
	if first { // it belongs to the hello, which counts as no message
		s.speaks(ctx)
	}
	r := &eventReader{takerFeed: s.hub.feed(ctx, t, false, func() { s.hub.remove(t) }), at: at, what: what, acks: true}
	r.first = welcomeOf(s.hub.welcome(), r.position())
	return r, nil
}

// eventReader is a feed of events that are made of frames, and knows how far they have come.
type eventReader struct {
	*takerFeed
	first hubEvent // comes before all frames; nil once it has come
	what  string
	at    comm.Position
	of    func(log string) bool // the logs whose places the position has; nil is all
	acks  bool                  // the client acknowledges
	text  *string               // of the position, as long as it stands
}

func (r *eventReader) position() *string {
	if r.text == nil {
		r.text = orNull(r.at.String())
	}
	return r.text
}

func (r *eventReader) next() (e hubEvent, is found, err error) {
	if r.first != nil {
		e, r.first = r.first, nil
		return e, anEvent, nil
	}
	f, is, err := r.takerFeed.next()
	switch {
	case is != anEvent:
		return nil, is, nil
	case err != nil:
		return nil, anEvent, hubError(r.what, err)
	}
	e, err = r.event(f)
	return e, anEvent, err
}

func (r *eventReader) event(f *comm.Frame) (hubEvent, error) {
	if r.of == nil || r.of(f.Log.Log) {
		observe(&r.at, f)
		r.text = nil
	}
	at := r.position()
	switch f.Op {
	case comm.OpJoined:
		return joinedOf(f, at), nil
	case comm.OpLeft:
		return hubLeft{f.Group, at}, nil
	case comm.OpGap:
		return gapOf(f, at), nil
	case comm.OpError:
		return hubRefused{orNull(f.ID), orNull(f.Group), codeText(f.Code), f.Text, at}, nil
	case opExpiring:
		return hubExpiring{f.Expires.UTC(), at}, nil
	case comm.OpClosing:
		return hubClosing{codeText(f.Code), orNull(f.Text), f.Closing.Reconnect, f.Closing.After.Seconds(), at}, nil
	}
	m, err := messageFrom(f, at)
	if f.Op == comm.OpCall {
		return hubCalled{m.ID, m.Type, m.Content, m.ContentType, m.From, m.Timestamp, m.Headers, m.Metadata, at}, err
	}
	m.Ack = r.acks && f.Ack
	return m, err
}
