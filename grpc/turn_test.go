package commgrpc

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurn: one at a time, and nobody is forgotten.
func TestTurn(t *testing.T) {
	t.Parallel()
	turn := newTurn()
	var all sync.WaitGroup
	sent := 0 // the race detector sees two at once
	for i := range 8 {
		all.Go(func() {
			for range 1000 {
				if i%2 == 0 || !turn.try() {
					turn.take()
				}
				sent++
				turn.give()
			}
		})
	}
	all.Wait()
	if sent != 8000 || !turn.try() || turn.try() {
		t.Errorf("%d of 8000 had a turn, or it was not free afterwards and then taken", sent)
	}
}

// TestTurnBubble: time goes on while one waits for the turn.
func TestTurnBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn()
		turn.take()
		time.AfterFunc(time.Second, turn.give)
		turn.take()
		if turn.try() {
			t.Error("two have the turn")
		}
		turn.give()
	})
}
