package commgrpc

import (
	"math"
	"testing"
)

// Whatever the size of messages, what has not left is more than nothing, and all of it is given back.
func TestUnsentOfHugeMessages(t *testing.T) {
	u := unsent{most: heldByStream}
	var under []*mark
	for range 4 {
		if m := u.add(math.MaxInt32); m != nil {
			under = append(under, m)
		}
		if !u.full() {
			t.Fatalf("not full with %d of them unsent", len(under))
		}
	}
	for _, m := range under {
		m.Put(nil)
	}
	if n := u.marked.Load(); n != 0 || u.full() {
		t.Errorf("%d bytes are left of nothing", n)
	}
}
