package ws_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// A handshake that Stop has overtaken is refused; its connection would be nobody's.
func TestProviderStopOvertakesHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, decide := make(chan struct{}), make(chan struct{})
		m, err := comm.New(comm.WithInMemory(), comm.WithProvider(ws.New()), comm.WithLogger(slog.New(slog.DiscardHandler)),
			comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
				close(asked)
				<-decide
				return comm.Identity{}, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		status := make(chan int, 1)
		go func() {
			_, resp, _ := ws.Dial(t.Context(), "ws://gateway/ws", ws.WithNetDial(m.DialContext))
			status <- resp.StatusCode
		}()
		<-asked
		stopped := make(chan error, 1)
		go func() { stopped <- m.Stop(t.Context()) }()
		synctest.Wait() // until Stop waits for the request
		close(decide)
		if got := <-status; got != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", got)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// Starts, stops and handshakes at once: nothing panics, and every stop finds its end.
func TestProviderStopStart(t *testing.T) {
	t.Parallel()
	m, err := comm.New(comm.WithInMemory(), comm.WithProvider(ws.New()), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithHandshakeRate(1_000_000, 1_000_000),
		comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
			time.Sleep(rand.N(3 * time.Millisecond)) // so that handshakes and stops meet at every place
			return comm.Identity{}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var clients sync.WaitGroup
	defer clients.Wait()
	for range 24 {
		clients.Go(func() {
			for ctx.Err() == nil {
				c, _, err := ws.Dial(ctx, "ws://gateway/ws", ws.WithNetDial(m.DialContext))
				if err != nil {
					continue
				}
				_, _, _ = c.Read(ctx, nil) // the welcome, or the end
				_ = c.CloseNow()
			}
		})
	}
	for ctx.Err() == nil {
		if err := m.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(4 * time.Millisecond))
		stop, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := m.Stop(stop); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
}
