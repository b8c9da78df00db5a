package wsframe_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/wsframe"
)

// The names and sizes are those of bench/internal/micro, whose rivals benchstat puts beside these.

// lengths are payloads of each of the three forms of a header (RFC 6455 5.2).
var lengths = []int64{100, 300, 1 << 20}

func BenchmarkHeaderParse(b *testing.B) {
	for _, n := range lengths {
		b.Run("length="+strconv.FormatInt(n, 10)+"/impl=comm", func(b *testing.B) {
			h := wsframe.Header{Fin: true, Op: wsframe.Binary, Masked: true, Key: 1, Length: n}.Append(nil)
			b.ReportAllocs()
			for b.Loop() {
				if got, size, err := wsframe.Parse(h, wsframe.Rules{Masked: true}); size != len(h) || got.Length != n || err != nil {
					b.Fatal(got, size, err)
				}
			}
		})
	}
}

func BenchmarkHeaderAppend(b *testing.B) {
	for _, n := range lengths {
		b.Run("length="+strconv.FormatInt(n, 10)+"/impl=comm", func(b *testing.B) {
			h := wsframe.Header{Fin: true, Op: wsframe.Binary, Length: n}
			buf := make([]byte, 0, wsframe.MaxHeader)
			b.ReportAllocs()
			for b.Loop() {
				buf = h.Append(buf[:0])
			}
			if len(buf) != h.Size() {
				b.Fatal(len(buf))
			}
		})
	}
}

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{16, 128, 1 << 10, 16 << 10} {
		b.Run("size="+strconv.Itoa(n)+"/impl=comm", func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				wsframe.Mask(p, 0x12345678)
			}
		})
	}
}

func BenchmarkUTF8(b *testing.B) {
	for _, text := range []struct{ name, sample string }{{"ascii", "abcdefgh"}, {"greek", "κόσμε κόσμε κό"}} {
		for _, n := range []int{128, 4 << 10} {
			b.Run("text="+text.name+"/size="+strconv.Itoa(n)+"/impl=comm", func(b *testing.B) {
				p := []byte(strings.Repeat(text.sample, n/len(text.sample)+1))
				p = p[:n/len(text.sample)*len(text.sample)] // never inside a letter
				b.SetBytes(int64(len(p)))
				b.ReportAllocs()
				for b.Loop() {
					var u wsframe.UTF8
					if !u.Write(p) || !u.Done() {
						b.Fatal("refused")
					}
				}
			})
		}
	}
}
