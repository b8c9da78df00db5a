package main

import (
	"net/http"
	"sync/atomic"

	"github.com/r3labs/sse/v2"
)

// r3labsSubject is r3labs/sse.
type r3labsSubject struct{}

func init() { register(r3labsSubject{}) }

func (r3labsSubject) Name() string   { return "r3labs" }
func (r3labsSubject) Module() string { return "github.com/r3labs/sse/v2" }
func (r3labsSubject) Config() string {
	return "one stream a group, AutoReplay off, BufferSize 1,024, its default"
}

type r3labsHub struct {
	server  *sse.Server
	members atomic.Int64
	entry   entry
}

func (r3labsSubject) Streams(s *spec) (hub, error) {
	h := &r3labsHub{}
	h.server = sse.NewWithCallback(func(string, *sse.Subscriber) { h.members.Add(1) }, nil)
	h.server.AutoReplay = false
	for g := range max(1, s.Groups) {
		h.server.CreateStream(groupName(g))
	}
	addr, err := serveHTTP(s, http.HandlerFunc(h.server.ServeHTTP))
	h.entry = entry{Addr: addr, SSE: "/?stream=g%d"}
	return h, err
}

func (h *r3labsHub) Entry() entry { return h.entry }
func (h *r3labsHub) Members() int { return int(h.members.Load()) }

func (h *r3labsHub) Publish(group int, payload []byte) error {
	h.server.Publish(groupName(group), &sse.Event{Data: payload})
	return nil
}
