package sse_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// memoryServer serves HTTP/1.1, and HTTP/2 to clients that begin with it, over net.Pipe, so that
// synctest's clock rules it.
type memoryServer struct {
	conns  chan net.Conn
	done   chan struct{}
	client *http.Client

	transport *http.Transport
}

func (m *memoryServer) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memoryServer) Close() error {
	select {
	case <-m.done:
	default:
		close(m.done)
	}
	return nil
}

func (m *memoryServer) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (m *memoryServer) dialContext(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// absoluteTimeout is that of servers in memory: net/http counts it from a request's beginning, and it
// must not end streams.
const absoluteTimeout = 200 * time.Millisecond

func serveMemory(t *testing.T, h http.Handler) *memoryServer {
	m := &memoryServer{conns: make(chan net.Conn), done: make(chan struct{})}
	m.transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return m.dialContext(ctx) }}
	m.client = &http.Client{Transport: m.transport}
	srv := &http.Server{
		Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), Protocols: protocols(true, false, true),
		ReadTimeout: absoluteTimeout, WriteTimeout: absoluteTimeout,
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(m) }()
	t.Cleanup(func() {
		m.transport.CloseIdleConnections()
		_ = srv.Close()
		<-served
	})
	return m
}

func (m *memoryServer) dial(t *testing.T) net.Conn {
	conn, err := m.dialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (m *memoryServer) get(t *testing.T, edit func(*http.Request)) *http.Response {
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://memory/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(req)
	}
	res, err := m.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
