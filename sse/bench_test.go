package sse_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/anasamu/comm/sse"
)

// Events that leave one by one, and in batches of 16, over loopback TCP to a client that discards them.
func BenchmarkStream(b *testing.B) {
	event := sse.Event{ID: "a:123", Type: "message", Data: []byte(`{"id":"01","type":"chat","content":"hello"}`)}
	raw, err := event.Append(nil)
	if err != nil {
		b.Fatal(err)
	}
	batch := make([][]byte, 16)
	for i := range batch {
		batch[i] = raw
	}
	for _, mode := range []struct {
		name string
		opts []sse.AcceptOption
	}{{"h1", nil}, {"hijack", []sse.AcceptOption{sse.WithHijack()}}} {
		b.Run(mode.name+"/Send", func(b *testing.B) {
			s := benchStream(b, mode.opts)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Send(ctx, event); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(mode.name+"/SendRaw16", func(b *testing.B) {
			s := benchStream(b, mode.opts)
			b.SetBytes(int64(len(batch) * len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.SendRaw(batch, time.Now().Add(10*time.Second)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchStream(b *testing.B, opts []sse.AcceptOption) *sse.Stream {
	opened := make(chan *sse.Stream, 1)
	srv := httptest.NewServer(sse.Handler(func(ctx context.Context, s *sse.Stream) error {
		opened <- s
		<-ctx.Done()
		return nil
	}, opts...))
	b.Cleanup(srv.Close)
	res, err := http.Get(srv.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = res.Body.Close() })
	go func() { _, _ = io.Copy(io.Discard, res.Body) }()
	return <-opened
}
