package graphql

import (
	"context"
	"sync"
	"time"
)

// Observer is told of every operation when it is over: of a subscription, once for the request and once
// for each event. It is called on the goroutine of the request, concurrently.
type Observer interface {
	Operation(ctx context.Context, e OperationEvent)
}

// OperationEvent is one operation that is over.
type OperationEvent struct {
	// Kind is empty where no operation was found.
	Kind OperationKind
	// Name is fit to be a label of a metric: the operation's name as long as there have been few of
	// them, "anonymous", "invalid", or "other".
	Name     string
	Start    time.Time
	Duration time.Duration
	// Errors are those of the response.
	Errors []*Error
	// RequestError tells that nothing was executed.
	RequestError bool
	// Bytes are those of the response.
	Bytes int
}

// WithOperationObserver sets who is told of every operation.
func WithOperationObserver(o Observer) SchemaOption {
	return schemaOption(func(b *builder) { b.observer = o })
}

// maxNames is how many names of operations are told apart: clients choose them.
const maxNames = 200

// nameSet gives names that are few.
type nameSet struct {
	mu    sync.Mutex // guards known
	known map[string]bool
}

func newNameSet() *nameSet { return &nameSet{known: make(map[string]bool)} }

func (n *nameSet) of(op *operation) string {
	if op.name == "" {
		return "anonymous"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.known[op.name]:
	case len(n.known) >= maxNames || len(op.name) > 64:
		return "other"
	default:
		n.known[op.name] = true
	}
	return op.name
}
