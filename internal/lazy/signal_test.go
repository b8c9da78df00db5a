package lazy_test

import (
	"sync"
	"testing"
	"unsafe"

	"github.com/anasamu/comm/internal/lazy"
)

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	var s lazy.Signal
	if s.Is(nil) {
		t.Fatal("it has a channel")
	}
	ch := s.C()
	if s.C() != ch || !s.Is(ch) || closed(ch) || s.Fired() {
		t.Fatal("it is fired, or has two channels")
	}
	s.Fire()
	s.Fire()
	if !closed(ch) || !closed(s.C()) || !s.Fired() {
		t.Fatal("it is not fired")
	}
	var early lazy.Signal
	early.Fire()
	if !closed(early.C()) {
		t.Fatal("it is not fired")
	}
	if unsafe.Sizeof(s) != unsafe.Sizeof(uintptr(0)) {
		t.Error("it is larger than a channel")
	}
}

func TestSignalFromMany(t *testing.T) {
	t.Parallel()
	for range 200 {
		var s lazy.Signal
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { <-s.C() })
			all.Go(s.Fire)
		}
		all.Wait()
		if !s.Fired() || !closed(s.C()) {
			t.Fatal("it is not fired")
		}
	}
}
