package deflate_test

import (
	"compress/flate"
	"fmt"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/deflate"
)

// The names, sizes and text are those of bench/internal/micro, whose rivals benchstat puts beside these.

// benchText is n bytes of messages as they are compressed in practice.
func benchText(n int) []byte {
	return []byte(strings.Repeat(`{"type":"chat.message","content":"hello there"}`, n/47+1)[:n])
}

var benchSizes = []int{128, 1 << 10, 16 << 10}

// each runs f for every size, without and with context takeover.
func each(b *testing.B, f func(b *testing.B, p []byte, side deflate.Side)) {
	for _, takeover := range []bool{false, true} {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("takeover=%v/size=%d/impl=comm", takeover, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				f(b, benchText(n), deflate.Side{Takeover: takeover, Bits: 15})
			})
		}
	}
}

func BenchmarkDeflate(b *testing.B) {
	each(b, func(b *testing.B, p []byte, side deflate.Side) {
		enc := deflate.NewEncoder(side, flate.BestSpeed)
		buf := make([]byte, 0, 2*len(p)+64)
		for b.Loop() {
			buf = enc.Append(buf[:0], p)
		}
		b.ReportMetric(float64(len(p))/float64(len(buf)), "x-smaller")
	})
}

func BenchmarkInflate(b *testing.B) {
	each(b, func(b *testing.B, p []byte, side deflate.Side) {
		z := deflate.Append(nil, p, 15, flate.BestSpeed)
		dec := deflate.NewDecoder(side)
		buf := make([]byte, 0, 2*len(p)+64)
		for b.Loop() {
			var err error
			if buf, err = dec.Append(buf[:0], z, 1<<20); err != nil || len(buf) != len(p) {
				b.Fatal(len(buf), err)
			}
		}
	})
}
