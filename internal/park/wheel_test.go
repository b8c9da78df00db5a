package park_test

import (
	"math/rand/v2"
	"testing"

	"github.com/anasamu/comm/internal/park"
)

// The wheel gives what a list that is searched would give.
func TestWheel(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	var wheel park.Wheel
	due := map[*park.Waiter]int64{}
	for at, round := int64(1), 0; round < 20_000; round++ {
		switch n := rnd.IntN(10); {
		case n < 5:
			when := at + 1 + rnd.Int64N(3000) // nearly three turns
			due[wheel.Add(when)] = when
		case n < 7:
			for w := range due {
				wheel.Remove(w)
				delete(due, w)
				break
			}
		default:
			at = advance(t, &wheel, due, at, rnd.Int64N(400))
		}
	}
	if len(due) == 0 {
		t.Fatal("the test tests nothing")
	}
}

// advance lets time pass and compares what is due with what was expected.
func advance(t *testing.T, wheel *park.Wheel, due map[*park.Waiter]int64, at, by int64) int64 {
	t.Helper()
	next := wheel.Soonest()
	first := int64(0)
	for _, when := range due {
		if first == 0 || when < first {
			first = when
		}
	}
	if first != 0 && (next == 0 || next > first) || first == 0 && next != 0 {
		t.Fatalf("at %d the next to look at is %d, but the first is due at %d", at, next, first)
	}
	at += by
	got := wheel.Expire(at)
	for _, w := range got {
		if due[w] == 0 || due[w] > at {
			t.Fatalf("at %d one came that is due at %d", at, due[w])
		}
		delete(due, w)
	}
	for _, when := range due {
		if when <= at {
			t.Fatalf("at %d one is missing that was due at %d", at, when)
		}
	}
	return at
}

// One that is late already comes at the next tick, and an empty wheel has nothing to look at.
func TestWheelOfThePast(t *testing.T) {
	t.Parallel()
	var wheel park.Wheel
	wheel.Expire(5000)
	w := wheel.Add(3)
	if next := wheel.Soonest(); next != 5001 {
		t.Errorf("the next is %d", next)
	}
	if got := wheel.Expire(5001); len(got) != 1 || got[0] != w {
		t.Errorf("got %v", got)
	}
	if next := wheel.Soonest(); next != 0 {
		t.Errorf("an empty wheel is to be looked at at %d", next)
	}
}
