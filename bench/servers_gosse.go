package main

import (
	"net/http"
	"sync/atomic"

	"github.com/tmaxmax/go-sse"
)

// goSSESubject is tmaxmax/go-sse.
type goSSESubject struct{}

func init() { register(goSSESubject{}) }

func (goSSESubject) Name() string   { return "go-sse" }
func (goSSESubject) Module() string { return "github.com/tmaxmax/go-sse" }
func (goSSESubject) Config() string { return "its default provider, Joe, without a replayer" }

type goSSEHub struct {
	server  *sse.Server
	members atomic.Int64
	entry   entry
}

func (goSSESubject) Streams(s *spec) (hub, error) {
	h := &goSSEHub{}
	h.server = &sse.Server{OnSession: func(w http.ResponseWriter, r *http.Request) ([]string, bool) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = w.(interface{ Flush() error }).Flush() // it sends the headers with the first event only, and the client waits for them
		h.members.Add(1)
		return []string{groupName(groupOf(r))}, true
	}}
	addr, err := serveHTTP(s, h.server)
	h.entry = entry{Addr: addr, SSE: "/?group=%d"}
	return h, err
}

func (h *goSSEHub) Entry() entry { return h.entry }
func (h *goSSEHub) Members() int { return int(h.members.Load()) }

func (h *goSSEHub) Publish(group int, payload []byte) error {
	m := &sse.Message{}
	m.AppendData(string(payload))
	return h.server.Publish(m, groupName(group))
}
