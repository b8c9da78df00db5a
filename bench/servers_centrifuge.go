package main

import (
	"context"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

// centrifugeSubject is centrifugal/centrifuge.
type centrifugeSubject struct{}

func init() { register(centrifugeSubject{}) }

func (centrifugeSubject) Name() string   { return "centrifuge" }
func (centrifugeSubject) Module() string { return "github.com/centrifugal/centrifuge" }
func (centrifugeSubject) Config() string {
	return "JSON protocol, server-side subscriptions, no history; MaxMessagesInFrame -1, so that its writer takes all that waits, without WriteDelay, which is a timer; UseWriteBufferPool"
}

// channelKey is where the request's group travels to the node.
type channelKey struct{}

func withChannel(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), channelKey{}, groupName(groupOf(r)))))
	})
}

func newCentrifuge(s *spec) (*centrifugeHub, error) {
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel:           centrifuge.LogLevelNone,
		ClientQueueMaxSize: 64 << 20,
	})
	if err != nil {
		return nil, err
	}
	h := &centrifugeHub{node: node}
	for g := range max(1, s.Groups) {
		h.channels = append(h.channels, groupName(g))
	}
	return h, nil
}

// subscribed is the answer to a client that connects.
func subscribed(ctx context.Context) centrifuge.ConnectReply {
	return centrifuge.ConnectReply{
		Credentials:        &centrifuge.Credentials{UserID: "u"},
		Subscriptions:      map[string]centrifuge.SubscribeOptions{ctx.Value(channelKey{}).(string): {}},
		MaxMessagesInFrame: -1,
		PingPongConfig:     &centrifuge.PingPongConfig{PingInterval: 5 * time.Minute, PongTimeout: time.Minute},
	}
}

type centrifugeHub struct {
	node     *centrifuge.Node
	channels []string
	publish  []centrifuge.PublishOption // of what clients say
	entry    entry
}

func (h *centrifugeHub) start(s *spec, e entry) (hub, error) {
	if err := h.node.Run(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", withChannel(centrifuge.NewWebsocketHandler(h.node, centrifuge.WebsocketConfig{
		CheckOrigin:        func(*http.Request) bool { return true },
		UseWriteBufferPool: true,
	})))
	mux.Handle("/sse", withChannel(centrifuge.NewSSEHandler(h.node, centrifuge.SSEConfig{})))
	addr, err := serveHTTP(s, mux)
	h.entry = e
	h.entry.Addr = addr
	return h, err
}

const centrifugeHello = `{"id":1,"connect":{"token":"` + token + `"}}`

func (centrifugeSubject) Hub(s *spec) (hub, error) {
	h, err := newCentrifuge(s)
	if err != nil {
		return nil, err
	}
	h.node.OnConnecting(func(ctx context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return subscribed(ctx), nil
	})
	return h.start(s, entry{WS: "/ws?group=%d", Hello: centrifugeHello})
}

func (h *centrifugeHub) Entry() entry { return h.entry }

func (h *centrifugeHub) Members() (n int) {
	for _, c := range h.channels {
		n += h.node.Hub().NumSubscribers(c)
	}
	return n
}

func (h *centrifugeHub) Publish(group int, payload []byte) error {
	_, err := h.node.Publish(h.channels[group], payload)
	return err
}

// Streams is its unidirectional event stream.
func (c centrifugeSubject) Streams(s *spec) (hub, error) {
	h, err := c.Hub(s)
	if err == nil {
		e := &h.(*centrifugeHub).entry
		e.WS, e.Hello, e.SSE = "", "", centrifugeStream
	}
	return h, err
}

// centrifugeStream has the connect command in its query.
const centrifugeStream = "/sse?group=%d&cf_connect=%7B%22id%22%3A1%2C%22connect%22%3A%7B%22token%22%3A%22" + token + "%22%7D%7D"
