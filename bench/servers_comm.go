package main

import (
	"context"
	"net/http"

	"github.com/anasamu/comm/ws"
)

// The variants of comm: package ws with MessageHandler, which its
// documentation names as the cheapest, and the hub with its providers.
type (
	commSubject struct {
		commGRPC
		commQUIC
		commInfo
		commEcho
		commHubs
		commGraphQL
	}
	commPortable struct {
		commInfo
		commEcho
	}
	commNoLog struct {
		commInfo
		commHubs
	}
)

func init() {
	register(commSubject{commInfo: commInfo{"comm", "ws.MessageHandler; the hub with its defaults: a history of every group, queues of 1,024 messages and 1 MiB; only the limits on clients of one address and on rates are lifted; sse.WithHijack; package graphql with its defaults and limits"}})
	register(commPortable{commInfo{"comm-portable", "the same with ws.WithPortableIO"}, commEcho{portable: true}})
	register(commLoop{commInfo{"comm-loop", "package graphql where the source of the subscriptions is a loop over a channel of its own (graphql.Subscribe) instead of a shared graphql.Topic"}})
	register(commNoLog{commInfo{"comm-nolog", "the hub as above without history, which no rival here keeps"}, commHubs{noLogs: true}})
}

type commInfo struct{ name, config string }

func (c commInfo) Name() string   { return c.name }
func (commInfo) Module() string   { return "github.com/anasamu/comm" }
func (c commInfo) Config() string { return c.config }

// commEcho is package ws alone.
type commEcho struct {
	portable bool // without the direct path to the socket
}

// Echo answers each message with itself.
func (c commEcho) Echo(s *spec) (entry, error) {
	opts := []ws.AcceptOption{
		ws.WithAnyOrigin(),
		ws.WithConnContext(func(*http.Request) context.Context { return context.Background() }), // keep nothing of the request
	}
	if s.Deflate {
		opts = append(opts, ws.WithCompression(ws.Compression{MinSize: -1}))
	}
	if c.portable {
		opts = append(opts, ws.WithPortableIO())
	}
	a, err := ws.NewAcceptor(opts...)
	if err != nil {
		return entry{}, err
	}
	addr, err := serveHTTP(s, a.MessageHandler(func(ctx context.Context, c *ws.Conn, t ws.Type, p []byte) error {
		return c.Write(ctx, t, p)
	}))
	return entry{Addr: addr, WS: "/"}, err
}
