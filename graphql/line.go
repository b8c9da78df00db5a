package graphql

import (
	"context"
	"slices"
	"sync"

	"github.com/anasamu/comm"
)

// line is the operations of a connection of the gateway that have come and may yet give the hub their first frame, in
// the order in which they have come. One whose first field is inTurn gives its frame when all before it have given
// theirs, or are found to have none; it has no place any more while it waits for an answer.
type line struct {
	mu  sync.Mutex // guards ops, and the place of each operation
	ops []*running
}

// place is an operation's in the line.
type place struct {
	taken bool
	owes  bool          // it has not counted yet as something that the client has said
	first chan struct{} // closed when nobody is before it; nil while it does not wait
}

// inTurn has a field keep the order of the operations that begin with it.
var inTurn = fieldOption(func(r *resolver) { r.inTurn = true })

// inTurn reports whether the operation's first field keeps the order.
func (st *Stream) inTurn() bool {
	if !st.s.hub {
		return false
	}
	fields := st.op.plan(st.vars).root.fields
	return len(fields) > 0 && fields[0].def != nil && fields[0].def.r.inTurn
}

func (l *line) join(op *running) {
	l.mu.Lock()
	defer l.mu.Unlock()
	op.place.taken, op.place.owes = true, true
	l.ops = append(l.ops, op)
}

// wait waits until nobody is before op, or op has no place any more.
func (l *line) wait(ctx context.Context, op *running) error {
	l.mu.Lock()
	if !op.place.taken || l.ops[0] == op {
		l.mu.Unlock()
		return nil
	}
	if op.place.first == nil {
		op.place.first = make(chan struct{})
	}
	first := op.place.first
	l.mu.Unlock()
	select {
	case <-first:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave gives up op's place, if it has one.
func (l *line) leave(op *running) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !op.place.taken {
		return
	}
	op.place.taken = false
	l.ops = slices.DeleteFunc(l.ops, func(o *running) bool { return o == op })
	op.place.call()
	if len(l.ops) > 0 {
		l.ops[0].place.call()
	} else {
		l.ops = nil // an idle connection keeps nothing
	}
}

// call wakes whoever waits for the place.
func (p *place) call() {
	if p.first != nil {
		close(p.first)
		p.first = nil
	}
}

// pay reports whether op had not counted yet. It has now.
func (l *line) pay(op *running) (owed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owed, op.place.owes = op.place.owes, false
	return owed
}

// count has an operation count as a message of the client's, unless a frame that it has given the hub did already. It
// is called when no frame is to be expected any more: at the operation's end, or when a subscription has its source.
func (s *Subscriber) count(op *running) {
	if s.line.pay(op) {
		s.hub.alive()
	}
}

// alive counts a message of the client that gives the hub nothing.
func (s *Subscriber) alive() {
	if s.Conn() != nil {
		s.hub.alive()
	}
}

type runningKey struct{}

// runningOf is the operation of the subscriber's that a resolver works for. A request has none.
func (s *Subscriber) runningOf(ctx context.Context) *running {
	if TransportOf(ctx).Subscriber != s {
		return nil
	}
	op, _ := ctx.Value(runningKey{}).(*running)
	return op
}

// turn waits for the turn of the operation that a resolver works for. pass, which may be called again, gives it to
// the next one.
func (s *Subscriber) turn(ctx context.Context) (pass func(), err error) {
	op := s.runningOf(ctx)
	if op == nil {
		return func() {}, nil
	}
	if err := s.line.wait(ctx, op); err != nil {
		return nil, err
	}
	return func() { s.line.leave(op) }, nil
}

// speaks notes that a resolver gives the hub a frame, by which its operation counts.
func (s *Subscriber) speaks(ctx context.Context) {
	if op := s.runningOf(ctx); op != nil {
		s.line.pay(op)
	}
}

// speak gives the hub a frame in the name of the operation that a resolver works for, in its turn.
func (h *hubSide) speak(ctx context.Context, f *comm.Frame) error {
	pass, err := h.s.turn(ctx)
	if err != nil {
		return err
	}
	defer pass()
	h.s.speaks(ctx)
	return h.give(ctx, f, h.host.Receive)
}
