package ws

import (
	"testing"
	"unsafe"
)

// Most connections are idle, and what each holds is what many of them cost.
func TestIdleConnectionIsSmall(t *testing.T) {
	for _, tt := range []struct {
		name       string
		size, most uintptr
	}{
		{"Conn", unsafe.Sizeof(Conn{}), 448},
		{"rawIO", unsafe.Sizeof(rawIO{}), 24},
		{"blocking", unsafe.Sizeof(blocking{}), 144},
		{"started", unsafe.Sizeof(started{}), 192},
	} {
		if unsafe.Sizeof(uintptr(0)) == 8 && tt.size > tt.most {
			t.Errorf("%s has %d bytes, want at most %d", tt.name, tt.size, tt.most)
		}
	}
}
