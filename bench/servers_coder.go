package main

import (
	"context"
	"net/http"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// coderSubject is coder/websocket.
type coderSubject struct{}

func init() { register(coderSubject{}) }

func (coderSubject) Name() string   { return "coder" }
func (coderSubject) Module() string { return "github.com/coder/websocket" }
func (coderSubject) Config() string {
	return "Accept in a net/http handler that returns, Read and Write with context.Background, which starts no goroutine; utf8.Valid for text, which it does not check"
}

func (coderSubject) Echo(s *spec) (entry, error) {
	o := &websocket.AcceptOptions{InsecureSkipVerify: true}
	if s.Deflate {
		o.CompressionMode, o.CompressionThreshold = websocket.CompressionNoContextTakeover, 1
	}
	addr, err := serveHTTP(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, o)
		if err != nil {
			return
		}
		go coderEcho(c, s.Text) // so that net/http's request is freed
	}))
	return entry{Addr: addr, WS: "/"}, err
}

func coderEcho(c *websocket.Conn, text bool) {
	defer c.CloseNow()
	c.SetReadLimit(-1)
	ctx := context.Background()
	for {
		t, p, err := c.Read(ctx)
		if err != nil || text && !utf8.Valid(p) {
			return
		}
		if c.Write(ctx, t, p) != nil {
			return
		}
	}
}
