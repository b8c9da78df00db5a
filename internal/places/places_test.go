package places_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/leak"
	"github.com/anasamu/comm/internal/places"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p places.Places
		if err := errors.Join(p.Wait(t.Context()), p.Enter(2), p.Enter(0)); err != nil {
			t.Fatal(err)
		}
		if err := p.Enter(2); err != places.ErrFull {
			t.Errorf("a third of two: %v", err)
		}
		p.Leave()
		if err := p.Enter(2); err != nil {
			t.Errorf("a place that was given back: %v", err)
		}
		p.Close()
		if err := p.Enter(0); err != places.ErrClosed || !p.Closed() {
			t.Errorf("after Close: %v, closed %v", err, p.Closed())
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait while places are taken: %v", err)
		}
		done := make(chan error, 2)
		for range cap(done) {
			go func() { done <- p.Wait(t.Context()) }()
		}
		synctest.Wait()
		p.Leave()
		synctest.Wait()
		if len(done) != 0 {
			t.Error("Wait returned while a place is taken")
		}
		p.Leave()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
