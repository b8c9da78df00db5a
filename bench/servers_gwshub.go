package main

import (
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/lxzan/gws"
)

// gwsHub is the simplest correct loop around gws's Broadcaster.
type gwsHub struct {
	gws.BuiltinEventHandler
	mu      sync.RWMutex
	groups  [][]*gws.Conn
	members atomic.Int64
	entry   entry
}

func (gwsSubject) Hub(s *spec) (hub, error) {
	h := &gwsHub{groups: make([][]*gws.Conn, max(1, s.Groups))}
	e, err := gwsServe(s, h, &gws.ServerOption{
		PermessageDeflate: gwsDeflate(s),
		Authorize: func(r *http.Request, session gws.SessionStorage) bool {
			session.Store("group", groupOf(r))
			return true
		},
	})
	h.entry = e
	h.entry.WS = "/?group=%d"
	return h, err
}

func (h *gwsHub) OnOpen(socket *gws.Conn) {
	g, _ := socket.Session().Load("group")
	h.mu.Lock()
	h.groups[g.(int)] = append(h.groups[g.(int)], socket)
	h.mu.Unlock()
	h.members.Add(1)
}

func (h *gwsHub) Entry() entry { return h.entry }
func (h *gwsHub) Members() int { return int(h.members.Load()) }

func (h *gwsHub) Publish(group int, payload []byte) error {
	b := gws.NewBroadcaster(gws.OpcodeText, payload)
	defer b.Close()
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, c := range h.groups[group] {
		if err := b.Broadcast(c); err != nil {
			return err
		}
	}
	return nil
}
