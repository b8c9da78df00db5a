package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// quicGoSubject is quic-go alone.
type quicGoSubject struct{}

func init() { register(quicGoSubject{}) }

func (quicGoSubject) Name() string   { return "quic-go" }
func (quicGoSubject) Module() string { return "github.com/quic-go/quic-go" }
func (quicGoSubject) Config() string {
	return "quic.Listen with its defaults; the first stream of each connection, every message framed by its length and given to the stream by one Write, frames made once where messages are; http3.Server with an http.ServeMux"
}

// quicLoop is the streams of all connections: no hub at all.
type quicLoop struct {
	entry    entry
	spec     *spec
	payloads [][]byte
	frames   [][]byte
	sent     int
	small    uint64

	mu      sync.Mutex // guards streams, and their writes
	streams []*quic.Stream
}

// QUIC serves streams.
func (quicGoSubject) QUIC(s *spec) (hub, error) {
	conf, err := s.tlsConfig(alpnBare)
	if err != nil {
		return nil, err
	}
	ln, err := quic.ListenAddr("127.0.0.1:0", conf, &quic.Config{})
	if err != nil {
		return nil, err
	}
	h := &quicLoop{entry: entry{Addr: ln.Addr().String(), Proto: alpnBare}, spec: s, payloads: quicPayloads(s)}
	for _, p := range h.payloads {
		h.frames = append(h.frames, quicFrame(p))
	}
	go func() {
		for {
			c, err := ln.Accept(context.Background())
			if err != nil {
				log.Fatal(err)
			}
			go h.serve(c)
		}
	}()
	return h, nil
}

// serve keeps a stream, whose first byte says nothing, or sends back what comes.
func (h *quicLoop) serve(c *quic.Conn) {
	s, err := c.AcceptStream(context.Background())
	if err != nil {
		return
	}
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		return
	}
	h.mu.Lock()
	h.streams = append(h.streams, s)
	h.mu.Unlock()
	if h.spec.Variant != variantEcho {
		return
	}
	buf := make([]byte, 4+h.spec.Size)
	for {
		if _, err := io.ReadFull(s, buf); err != nil {
			return
		}
		if _, err := s.Write(buf); err != nil {
			return
		}
	}
}

func (h *quicLoop) Entry() entry { return h.entry }

func (h *quicLoop) Members() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

func (*quicLoop) Publish(int, []byte) error { return errUnsupported }

// Flood writes to one stream after the other.
func (h *quicLoop) Flood(n int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range n {
		i := h.sent % len(h.frames)
		h.sent++
		frame := h.frames[i]
		if h.spec.Variant == variantFresh {
			frame = quicFrame(h.payloads[i])
		}
		for _, s := range h.streams {
			if _, err := s.Write(frame); err != nil {
				return err
			}
		}
	}
	return nil
}

// Beside writes the large message, and small ones on a schedule, to the same stream.
func (h *quicLoop) Beside(n int) error {
	failed := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		close(begun)
		_, err := h.streams[0].Write(h.frames[0])
		failed <- err
	}()
	<-begun
	err := onSchedule(n, func(at time.Time) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		_, err := h.streams[0].Write(quicFrame(appendPayload(nil, h.small, at, besideSmall)))
		h.small++
		return err
	})
	return errors.Join(err, <-failed)
}

// H3 serves a route.
func (quicGoSubject) H3(s *spec) (hub, error) {
	conf, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", h3Handler(s))
	srv := &http3.Server{TLSConfig: http3.ConfigureTLSConfig(conf), Handler: mux, QUICConfig: &quic.Config{}}
	go func() { log.Fatal(srv.Serve(socket)) }()
	return echoing{entry{Addr: socket.LocalAddr().String()}}, nil
}
