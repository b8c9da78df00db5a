package commtest

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/anasamu/comm"
)

// Bus joins managers of one process as a Backplane joins nodes: a double, for tests. What crosses it does so as JSON, as
// between processes. The zero Bus is ready to use.
type Bus struct {
	mu    sync.Mutex
	nodes []*busNode
}

// Node returns the Backplane of one more manager.
func (b *Bus) Node() comm.Backplane { return &busNode{bus: b} }

type busNode struct {
	bus  *Bus
	node string
	sink func(comm.RemoteMessage)
}

func (n *busNode) Start(_ context.Context, node string, sink func(comm.RemoteMessage)) error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	n.node, n.sink = node, sink
	n.bus.nodes = append(n.bus.nodes, n)
	return nil
}

// Publish hands m to every other node, in the order of the calls.
func (n *busNode) Publish(ctx context.Context, m comm.RemoteMessage) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	for _, other := range n.bus.nodes {
		if other == n {
			continue
		}
		var got comm.RemoteMessage
		if err := json.Unmarshal(line, &got); err != nil {
			return err
		}
		other.sink(got)
	}
	return ctx.Err()
}

func (n *busNode) Stop() error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	for i, other := range n.bus.nodes {
		if other == n {
			n.bus.nodes = append(n.bus.nodes[:i:i], n.bus.nodes[i+1:]...)
			break
		}
	}
	return nil
}
