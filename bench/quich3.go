package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// An h3Server answers GET /hello with h3Body over HTTP/3.
type h3Server interface {
	H3(s *spec) (hub, error)
}

func h3Body(s *spec) []byte { return []byte(padding(s.Size)) }

// h3Handler is the handler of all servers.
func h3Handler(s *spec) http.HandlerFunc {
	body := h3Body(s)
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

// driveH3 keeps s.Flight requests under way on every connection.
func driveH3(s *spec) (metrics, error) {
	c, err := dialControl(s)
	if err != nil {
		return nil, err
	}
	g := &h3Gets{url: "https://" + s.Entry.Addr + "/hello", want: h3Body(s), flight: s.Flight}
	for range s.Conns {
		g.connections = append(g.connections, &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})
	}
	if _, err := g.until(time.Now().Add(s.Warm)); err != nil {
		return nil, err
	}
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	took, err := g.until(time.Now().Add(s.Measure))
	if err != nil {
		return nil, err
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	out := m.report(len(took))
	percentiles(took, out)
	return out, nil
}

type h3Gets struct {
	url         string
	want        []byte
	flight      int
	connections []*http3.Transport
}

// until asks until a moment, and waits for every answer.
func (g *h3Gets) until(end time.Time) ([]time.Duration, error) {
	var (
		mu   sync.Mutex
		all  []time.Duration
		errs error
		wg   sync.WaitGroup
	)
	for _, t := range g.connections {
		for range g.flight {
			wg.Go(func() {
				took, err := g.ask(t, end)
				mu.Lock()
				defer mu.Unlock()
				all, errs = append(all, took...), errors.Join(errs, err)
			})
		}
	}
	wg.Wait()
	return all, errs
}

func (g *h3Gets) ask(t *http3.Transport, end time.Time) (took []time.Duration, err error) {
	ctx, cancel := context.WithDeadline(context.Background(), end.Add(patience))
	defer cancel()
	buf := make([]byte, len(g.want)+1)
	for start := time.Now(); err == nil && start.Before(end); start = time.Now() {
		if err = g.one(ctx, t, buf); err == nil {
			took = append(took, time.Since(start))
		}
	}
	return took, err
}

func (g *h3Gets) one(ctx context.Context, t *http3.Transport, buf []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url, nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.ReadFull(resp.Body, buf)
	if err == io.ErrUnexpectedEOF && resp.StatusCode == http.StatusOK && bytes.Equal(buf[:n], g.want) {
		return nil
	}
	return fmt.Errorf("status %d, %d bytes, %w", resp.StatusCode, n, err)
}
