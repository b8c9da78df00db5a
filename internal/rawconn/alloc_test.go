//go:build unix && !comm_portable && !race

package rawconn_test

import (
	"testing"

	"github.com/anasamu/comm/internal/rawconn"
)

// Neither makes memory.
func TestNothingIsAllocated(t *testing.T) {
	near, far := pair(t, "tcp", "127.0.0.1:0")
	sys, back := rawconn.Under(near), rawconn.Under(far)
	out, in := []byte("x"), make([]byte, 8)
	allocs := testing.AllocsPerRun(1000, func() {
		if n, err := rawconn.Write(sys, out); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := read(back, in); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	})
	if allocs >= 1 {
		t.Errorf("%v allocations", allocs)
	}
}
