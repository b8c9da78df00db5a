package main

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/anasamu/comm"
)

// Stall is the hub with long polling too.
func (c commHubs) Stall(s *spec) (hub, error) {
	h, err := c.manager(s)
	if err != nil {
		return nil, err
	}
	h.targets = append(h.targets, comm.ToGroup(groupName(groupStalled)))
	return h.start(entry{WS: "/ws?group=%d", SSE: "/events?group=%d", Poll: "/poll?group=%d"})
}

// Fill publishes to a group until what it publishes stays in the queue. It
// leaves most of the queue free.
func (h *commHub) Fill(group int) error {
	big, err := json.Marshal(padding(64 << 10))
	if err != nil {
		return err
	}
	for range 1000 {
		if h.waits(group) {
			return nil
		}
		if err := h.Publish(group, big); err != nil {
			return err
		}
		for deadline := time.Now().Add(100 * time.Millisecond); h.waits(group) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	return errors.New("the client does not stall")
}

// waits reports whether something waits for a client of a group.
func (h *commHub) waits(group int) bool {
	for c := range h.m.Connections(h.targets[group]) {
		if c.Stats().QueueMessages > 0 {
			return true
		}
	}
	return false
}
