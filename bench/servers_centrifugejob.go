package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/centrifugal/centrifuge"
)

// Job has clients with a token, and a publish handler that decodes and
// publishes; centrifuge has no middleware, so the handler is wrapped.
func (centrifugeSubject) Job(s *spec) (hub, error) { return centrifugeJob(s) }

// centrifugeHistory is centrifuge with the history that comm keeps by default.
type centrifugeHistory struct{}

func init() { register(centrifugeHistory{}) }

func (centrifugeHistory) Name() string   { return "centrifuge-history" }
func (centrifugeHistory) Module() string { return centrifugeSubject{}.Module() }
func (centrifugeHistory) Config() string {
	return "the same with a history in its MemoryBroker as comm's by default: 1,000 messages of each channel for five minutes"
}

func (centrifugeHistory) Job(s *spec) (hub, error) {
	return centrifugeJob(s, centrifuge.WithHistory(1000, 5*time.Minute))
}

func centrifugeJob(s *spec, publish ...centrifuge.PublishOption) (hub, error) {
	h, err := newCentrifuge(s)
	if err != nil {
		return nil, err
	}
	h.publish = publish
	h.node.OnConnecting(func(ctx context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		if e.Token != token {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return subscribed(ctx), nil
	})
	var handled counter
	handle := func(e centrifuge.PublishEvent) (centrifuge.PublishReply, error) {
		defer handled.count()
		return h.say(e)
	}
	h.node.OnConnect(func(c *centrifuge.Client) {
		c.OnPublish(func(e centrifuge.PublishEvent, done centrifuge.PublishCallback) { done(handle(e)) })
	})
	return h.start(s, entry{WS: "/ws?group=%d", SSE: centrifugeStream, Hello: centrifugeHello, Say: `{"id":2,"publish":{"channel":"g%d","data":%s}}`})
}

func (h *centrifugeHub) say(e centrifuge.PublishEvent) (centrifuge.PublishReply, error) {
	var v say
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return centrifuge.PublishReply{}, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return centrifuge.PublishReply{}, err
	}
	r, err := h.node.Publish(e.Channel, b, h.publish...)
	return centrifuge.PublishReply{Result: &r}, err
}
