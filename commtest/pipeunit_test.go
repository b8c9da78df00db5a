package commtest_test

import (
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
)

func TestNewHost(t *testing.T) {
	h := commtest.NewHost(t, "mine", comm.WithMaxMessage(4096))
	if h.Settings().MaxMessage != 4096 || !h.Settings().InMemory || h.Manager() == nil || h.Context().Err() != nil {
		t.Fatalf("settings %+v", h.Settings())
	}
	l, err := h.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if addrs, err := h.Manager().Addrs("mine"); err != nil || len(addrs) != 1 || addrs[0] != l.Addr().String() {
		t.Fatalf("addresses %q, %v, want %v", addrs, err, l.Addr())
	}
}
