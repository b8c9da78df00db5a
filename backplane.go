package comm

import (
	"context"
	"sync"
	"time"
)

// Backplane joins the managers of several nodes: what one of them sends reaches the clients of all.
//
// It carries messages and their targets, no promises beyond those: Where never crosses nodes, since
// it is a function; Label and the other narrowings do. Counts in a Delivery are those of the sending
// node. Each node keeps its own logs with its own epochs, so a client that resumes on another node
// is told of the gap. Presence, lists, calls, WithAck, WithLane and WithUnreliable are of one node too. A send to a
// connection that this node does not know is no ErrNotFound any more, since another may.
//
// Between processes a RemoteMessage travels as JSON (encoding/json), and commtest.Bus shows how little an engine is.
type Backplane interface {
	// Start connects; sink takes what other nodes publish, in the order of each node, until Stop. ctx bounds connecting
	// alone. node is the manager's Node, which is new with each process. An error is that of Manager.Start. sink may be
	// called concurrently; it does not wait for clients.
	Start(ctx context.Context, node string, sink func(RemoteMessage)) error
	// Publish sends to all other nodes, and not to the sink of its own. It is called by whoever sends, concurrently, when
	// the clients of this node have been served; so it should not wait, and may not block longer than ctx, which need not
	// have a deadline. An error is returned by Manager.Send, beside the Delivery of this node.
	Publish(ctx context.Context, m RemoteMessage) error
	// Stop disconnects, and waits until sink is not called any more. It is called once, by Manager.Close.
	Stop() error
}

// RemoteMessage is one send on its way between nodes: encoding/json makes it bytes, and a RemoteMessage again.
type RemoteMessage struct {
	Node     string // where it was sent
	Target   Target // without Where
	Message  *Message
	Priority Priority
	Key      string
	Unlogged bool
}

// backplane is the manager's side.
type backplane struct {
	manager *Manager
	impl    Backplane
	mu      sync.Mutex
	started bool
}

func newBackplane(m *Manager, b Backplane) *backplane { return &backplane{manager: m, impl: b} }

func (b *backplane) start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started {
		return nil
	}
	if err := b.impl.Start(ctx, b.manager.node, b.receive); err != nil {
		return err
	}
	b.started = true
	return nil
}

func (b *backplane) stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.started {
		return nil
	}
	b.started = false
	return b.impl.Stop()
}

func (b *backplane) publish(ctx context.Context, t Target, m *Message, o *sendOptions) error {
	return b.impl.Publish(ctx, RemoteMessage{
		Node: b.manager.node, Target: t, Message: m, Priority: o.priority, Key: o.key, Unlogged: o.unlogged,
	})
}

// receive delivers what another node sent to the clients of this one.
func (b *backplane) receive(r RemoteMessage) {
	if r.Node == b.manager.node || b.manager.closed.Load() || r.Target.check() != nil {
		return
	}
	p := b.manager.publication()
	defer p.free()
	p.options = sendOptions{priority: r.Priority, key: r.Key, unlogged: r.Unlogged}
	ctx, cancel := context.WithTimeout(b.manager.ctx, time.Second)
	defer cancel()
	_, _ = b.manager.publish(ctx, p, r.Target, r.Message)
}
