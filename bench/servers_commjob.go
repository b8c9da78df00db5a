package main

import (
	"context"
	"net/http"
	"strconv"

	"github.com/anasamu/comm"
)

// Job has clients with a token, middleware, and a handler that decodes and
// sends to the sender's group.
func (c commHubs) Job(s *spec) (hub, error) {
	var handled commCounter
	h, err := c.manager(s,
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			if hs.Token != token {
				return comm.Identity{}, comm.ErrUnauthenticated
			}
			return comm.Identity{User: userName(s.Variant, hs.Request), Labels: map[string]string{"group": strconv.Itoa(groupOf(hs.Request))}}, nil
		}),
		comm.WithMiddleware(handled.middleware))
	if err != nil {
		return nil, err
	}
	comm.On(h.m, "say", func(ctx context.Context, c *comm.Conn, v say) error {
		msg, err := comm.NewMessage("said", v, comm.From(c))
		if err != nil {
			return err
		}
		if s.Variant == variantReply {
			return delivered(c.Send(ctx, msg))
		}
		g, err := strconv.Atoi(c.Label("group"))
		if err != nil {
			return err
		}
		return delivered(h.m.Send(ctx, h.targets[g], msg))
	})
	return h.start(entry{WS: "/ws?group=%d", SSE: "/events?group=%d", Say: `{"type":"say","content":%s}`})
}

// userName is one of many users where memory is measured.
func userName(variant string, r *http.Request) string {
	if variant == variantReply {
		return "user-" + r.RemoteAddr
	}
	return "user"
}

// commCounter is a middleware as users write them.
type commCounter struct{ counter }

func (n *commCounter) middleware(next comm.Handler) comm.Handler {
	return func(ctx context.Context, c *comm.Conn, m *comm.Message) error {
		defer n.count()
		return next(ctx, c, m)
	}
}
