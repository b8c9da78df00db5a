package main

import (
	"io"
	"net"
	"sync"

	"github.com/gobwas/ws"
)

// directSubject is no library: the publisher writes the finished frame to one
// socket after the other. It is what a hub's single message is compared with.
type directSubject struct{}

func init() { register(directSubject{}) }

func (directSubject) Name() string   { return "direct" }
func (directSubject) Module() string { return "github.com/gobwas/ws" }
func (directSubject) Config() string {
	return "no hub at all: one frame, made once, written to one socket after the other by the publisher"
}

type directHub struct {
	mu    sync.Mutex
	conns []net.Conn
	entry entry
}

func (directSubject) Hub(s *spec) (hub, error) {
	ln, err := s.listen()
	if err != nil {
		return nil, err
	}
	h := &directHub{entry: entry{Addr: ln.Addr().String(), WS: "/"}}
	go acceptAll(ln, func(c net.Conn) {
		if gobwasUpgrade(c, false) != nil {
			return
		}
		h.mu.Lock()
		h.conns = append(h.conns, c)
		h.mu.Unlock()
		_, _ = io.Copy(io.Discard, c) // until the client goes
	})
	return h, nil
}

func (h *directHub) Entry() entry { return h.entry }

func (h *directHub) Members() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *directHub) Publish(_ int, payload []byte) error {
	frame, err := ws.CompileFrame(ws.NewTextFrame(payload))
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		if _, err := c.Write(frame); err != nil {
			return err
		}
	}
	return nil
}
