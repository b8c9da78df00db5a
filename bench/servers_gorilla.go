package main

import (
	"net/http"
	"sync"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// gorillaSubject is gorilla/websocket.
type gorillaSubject struct{}

func init() { register(gorillaSubject{}) }

func (gorillaSubject) Name() string   { return "gorilla" }
func (gorillaSubject) Module() string { return "github.com/gorilla/websocket" }
func (gorillaSubject) Config() string {
	return "net/http's buffers used again (buffer sizes 0) and a WriteBufferPool, as its documentation recommends; ReadMessage and WriteMessage; utf8.Valid for text, which it does not check"
}

func (gorillaSubject) Echo(s *spec) (entry, error) {
	u := websocket.Upgrader{
		WriteBufferPool:   &sync.Pool{},
		EnableCompression: s.Deflate,
		CheckOrigin:       func(*http.Request) bool { return true },
	}
	addr, err := serveHTTP(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		go gorillaEcho(c, s.Text) // so that net/http's request is freed
	}))
	return entry{Addr: addr, WS: "/"}, err
}

func gorillaEcho(c *websocket.Conn, text bool) {
	defer c.Close()
	_ = c.SetCompressionLevel(1) // 1 is a level
	for {
		t, p, err := c.ReadMessage()
		if err != nil || text && !utf8.Valid(p) {
			return
		}
		if c.WriteMessage(t, p) != nil {
			return
		}
	}
}
