package main

import (
	"context"
	"net/http"

	"github.com/anasamu/comm/ws"
)

// comm is package ws with Serve, which its documentation names as the
// cheapest, and the hub with its providers.
type (
	comm struct {
		commInfo
		commEcho
	}
	commPortable struct {
		commInfo
		commEcho
	}
)

func init() {
	register(comm{commInfo: commInfo{"comm", "ws.Handler with Conn.Serve; the hub with its defaults, history of every group included, and its limits raised to the row's numbers"}})
	register(commPortable{commInfo{"comm-portable", "the same with ws.WithPortableIO"}, commEcho{portable: true}})
}

type commInfo struct{ name, config string }

func (c commInfo) Name() string   { return c.name }
func (commInfo) Module() string   { return "github.com/anasamu/comm" }
func (c commInfo) Config() string { return c.config }

// commEcho is package ws alone.
type commEcho struct {
	portable bool // without the direct path to the socket
}

// Echo answers each message with itself, as examples/wsecho does.
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
	addr, err := serveHTTP(s, a.Handler(func(ctx context.Context, c *ws.Conn) error {
		return c.Serve(ctx, func(t ws.Type, p []byte) error { return c.Write(ctx, t, p) })
	}))
	return entry{Addr: addr, WS: "/"}, err
}
