package main

import (
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/olahol/melody"
)

// melodySubject is olahol/melody.
type melodySubject struct{}

func init() { register(melodySubject{}) }

func (melodySubject) Name() string   { return "melody" }
func (melodySubject) Module() string { return "github.com/olahol/melody" }
func (melodySubject) Config() string {
	return "BroadcastMultiple to a slice of sessions a group, under a read lock; MessageBufferSize 4,096, since its default of 256 drops messages; any error of a session fails the run"
}

// melodyHub keeps the groups that melody does not have.
type melodyHub struct {
	m       *melody.Melody
	mu      sync.RWMutex
	groups  [][]*melody.Session
	members atomic.Int64
	failed  atomic.Pointer[error]
	entry   entry
}

func newMelody(s *spec) *melodyHub {
	h := &melodyHub{m: melody.New(), groups: make([][]*melody.Session, max(1, s.Groups))}
	h.m.Config.MessageBufferSize = 4096
	h.m.Config.MaxMessageSize = 1 << 20
	h.m.Upgrader.CheckOrigin = func(*http.Request) bool { return true }
	h.m.Upgrader.WriteBufferPool = &sync.Pool{}
	h.m.HandleConnect(h.join)
	h.m.HandleError(func(_ *melody.Session, err error) {
		if err == melody.ErrMessageBufferFull {
			h.failed.Store(&err)
		}
	})
	return h
}

func (h *melodyHub) join(s *melody.Session) {
	g := groupOf(s.Request)
	h.mu.Lock()
	h.groups[g] = append(h.groups[g], s)
	h.mu.Unlock()
	h.members.Add(1)
}

func (h *melodyHub) start(s *spec, e entry) (hub, error) {
	addr, err := serveHTTP(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = h.m.HandleRequest(w, r) // it has answered
	}))
	h.entry = e
	h.entry.Addr = addr
	return h, err
}

func (melodySubject) Hub(s *spec) (hub, error) {
	return newMelody(s).start(s, entry{WS: "/?group=%d"})
}

func (h *melodyHub) Entry() entry { return h.entry }
func (h *melodyHub) Members() int { return int(h.members.Load()) }

func (h *melodyHub) Publish(group int, payload []byte) error {
	if err := h.failed.Load(); err != nil {
		return *err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.m.BroadcastMultiple(payload, h.groups[group])
}
