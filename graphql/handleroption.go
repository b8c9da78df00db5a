package graphql

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// WithMaxOperations bounds the operations that one connection, a WebSocket or an event stream, may have at once.
// One more is refused with [CodeLimit], and so is one whose document is more than 800 KiB together with those of
// the others. An operation counts until its resolvers have returned. The default is 100.
func WithMaxOperations(n int) HandlerOption {
	return handlerOption(func(h *Handler) error {
		if n < 1 {
			return fmt.Errorf("graphql: WithMaxOperations(%d): 1 or more is allowed", n)
		}
		h.operations = n
		return nil
	})
}

// WithInitTimeout bounds how long a WebSocket may stay silent before its connection_init; then it is closed with
// the code 4408. The default is 10 s, and in a gateway the manager's handshake timeout.
func WithInitTimeout(d time.Duration) HandlerOption {
	return handlerOption(func(h *Handler) error {
		if d <= 0 {
			return fmt.Errorf("graphql: WithInitTimeout(%v): more than 0 is allowed", d)
		}
		h.initTimeout = d
		return nil
	})
}

// WithKeepAlive sets how often a client of the old subprotocol graphql-ws is sent the message ka. Those of
// graphql-transport-ws need none: WebSocket's own pings go to both. The default is 25 s, and in a gateway the
// manager's heartbeat.
func WithKeepAlive(d time.Duration) HandlerOption {
	return handlerOption(func(h *Handler) error {
		if d <= 0 {
			return fmt.Errorf("graphql: WithKeepAlive(%v): more than 0 is allowed", d)
		}
		h.keepAlive = d
		return nil
	})
}

// WithReservations bounds the single connection mode of event streams: how many streams that a client has
// reserved and not yet opened one address may have, and for how long each is kept. The defaults are 10
// and 30 s. In all there may be 10,000 of them. The token that a client is given is a secret of more than 128
// bits: whoever has it opens the stream, and begins and stops its operations.
func WithReservations(perAddress int, wait time.Duration) HandlerOption {
	return handlerOption(func(h *Handler) error {
		if perAddress < 1 || wait <= 0 {
			return fmt.Errorf("graphql: WithReservations(%d, %v): 1 or more, for more than 0, is allowed", perAddress, wait)
		}
		h.perAddress, h.reserveFor = perAddress, wait
		return nil
	})
}

// WithSocketOptions sets how WebSockets are accepted: [ws.WithOrigins], [ws.WithCompression] and the like. The
// subprotocols are this package's; a message may be as large as [WithMaxBody] says unless [ws.WithReadLimit] is
// given. Pages of other origins are refused by default; in a gateway the manager's policy decides.
func WithSocketOptions(opts ...ws.AcceptOption) HandlerOption {
	opts = slices.Clone(opts)
	return handlerOption(func(h *Handler) error {
		if _, err := ws.NewAcceptor(append([]ws.AcceptOption{ws.WithSubprotocols(protocolTransport)}, opts...)...); err != nil {
			return errors.Join(errors.New("graphql: WithSocketOptions"), err)
		}
		h.socketOpts = append(h.socketOpts, opts...)
		return nil
	})
}

// WithStreamOptions sets how event streams are accepted: [sse.WithHeartbeat], [sse.WithLifetime] and the like.
// WithMethods and WithHijack have no place here.
func WithStreamOptions(opts ...sse.AcceptOption) HandlerOption {
	opts = slices.Clone(opts)
	return handlerOption(func(h *Handler) error {
		if _, err := sse.NewAcceptor(opts...); err != nil {
			return errors.Join(errors.New("graphql: WithStreamOptions"), err)
		}
		h.streamOpts = append(h.streamOpts, opts...)
		return nil
	})
}
