package micro

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	_ "github.com/coder/websocket" // its mask
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
	_ "github.com/gorilla/websocket" // its mask
	_ "github.com/lxzan/gws"         // its mask
)

var lengths = []int64{100, 300, 1 << 20}

// gobwas/ws reads and writes a header through io.Reader and io.Writer; with a
// buffer of the caller's it need not allocate one.
func BenchmarkHeaderParse(b *testing.B) {
	for _, n := range lengths {
		b.Run(fmt.Sprintf("length=%d/impl=gobwas", n), func(b *testing.B) {
			var wire bytes.Buffer
			if err := ws.WriteHeader(&wire, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Mask: [4]byte{1}, Length: n}); err != nil {
				b.Fatal(err)
			}
			r, buf := bytes.NewReader(wire.Bytes()), make([]byte, ws.MaxHeaderSize)
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(wire.Bytes())
				if h, err := ws.ReadHeaderBuffer(r, buf); err != nil || h.Length != n {
					b.Fatal(h, err)
				}
			}
		})
	}
}

func BenchmarkHeaderAppend(b *testing.B) {
	for _, n := range lengths {
		b.Run(fmt.Sprintf("length=%d/impl=gobwas", n), func(b *testing.B) {
			h := ws.Header{Fin: true, OpCode: ws.OpBinary, Length: n}
			var w bytes.Buffer
			buf := make([]byte, ws.MaxHeaderSize)
			b.ReportAllocs()
			for b.Loop() {
				w.Reset()
				if err := ws.WriteHeaderBuffer(&w, h, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMask(b *testing.B) {
	key := [4]byte{0x78, 0x56, 0x34, 0x12}
	for _, n := range []int{16, 128, 1 << 10, 16 << 10} {
		for _, impl := range []struct {
			name string
			mask func([]byte)
		}{
			{"gobwas", func(p []byte) { ws.Cipher(p, key, 0) }},
			{"coder", func(p []byte) { coderMask(p, 0x12345678) }},
			{"gws", func(p []byte) { gwsMask(p, key[:]) }},
			{"gorilla", func(p []byte) { gorillaMask(key, 0, p) }},
		} {
			b.Run(fmt.Sprintf("size=%d/impl=%s", n, impl.name), func(b *testing.B) {
				p := make([]byte, n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					impl.mask(p)
				}
			})
		}
	}
}

// The masks stand for what they say they do.
func TestMasks(t *testing.T) {
	plain, key := []byte("a text of more than one word"), [4]byte{0x78, 0x56, 0x34, 0x12}
	want := bytes.Clone(plain)
	for i := range want {
		want[i] ^= key[i%4]
	}
	for name, mask := range map[string]func([]byte){
		"gobwas":  func(p []byte) { ws.Cipher(p, key, 0) },
		"coder":   func(p []byte) { coderMask(p, 0x12345678) },
		"gws":     func(p []byte) { gwsMask(p, key[:]) },
		"gorilla": func(p []byte) { gorillaMask(key, 0, p) },
	} {
		got := bytes.Clone(plain)
		if mask(got); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", name, got, want)
		}
	}
}

func BenchmarkUTF8(b *testing.B) {
	for _, text := range []struct{ name, sample string }{{"ascii", "abcdefgh"}, {"greek", "κόσμε κόσμε κό"}} {
		for _, n := range []int{128, 4 << 10} {
			p := []byte(strings.Repeat(text.sample, n/len(text.sample)))
			run := func(impl string, valid func() bool) {
				b.Run(fmt.Sprintf("text=%s/size=%d/impl=%s", text.name, n, impl), func(b *testing.B) {
					b.SetBytes(int64(len(p)))
					b.ReportAllocs()
					for b.Loop() {
						if !valid() {
							b.Fatal("refused")
						}
					}
				})
			}
			run("std", func() bool { return utf8.Valid(p) })
			src, buf := bytes.NewReader(p), make([]byte, len(p))
			r := wsutil.NewUTF8Reader(src)
			run("gobwas", func() bool {
				src.Reset(p)
				r.Reset(src)
				_, err := io.ReadFull(r, buf)
				return err == nil && r.Valid()
			})
		}
	}
}

func benchText(n int) []byte {
	return []byte(strings.Repeat(`{"type":"chat.message","content":"hello there"}`, n/47+1)[:n])
}

var benchSizes = []int{128, 1 << 10, 16 << 10}

// compress/flate as a library would use it at best: one writer, reset for each
// message, and the tail of RFC 7692 7.2.1 cut off.
func BenchmarkDeflate(b *testing.B) {
	for _, n := range benchSizes {
		p := benchText(n)
		run := func(impl string, f func() int) {
			b.Run(fmt.Sprintf("takeover=false/size=%d/impl=%s", n, impl), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				size := 0
				for b.Loop() {
					size = f()
				}
				b.ReportMetric(float64(n)/float64(size), "x-smaller")
			})
		}
		var out bytes.Buffer
		std, err := flate.NewWriter(&out, flate.BestSpeed)
		if err != nil {
			b.Fatal(err)
		}
		run("std", func() int {
			out.Reset()
			std.Reset(&out)
			_, err := std.Write(p)
			if err == nil {
				err = std.Flush()
			}
			if err != nil {
				b.Fatal(err)
			}
			return out.Len() - 4
		})
		gobwas := wsflate.NewWriter(&out, func(w io.Writer) wsflate.Compressor {
			f, _ := flate.NewWriter(w, flate.BestSpeed) // 1 is a level
			return f
		})
		run("gobwas", func() int {
			out.Reset()
			gobwas.Reset(&out)
			_, err := gobwas.Write(p)
			if err == nil {
				err = gobwas.Flush()
			}
			if err != nil {
				b.Fatal(err)
			}
			return out.Len()
		})
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, n := range benchSizes {
		p := benchText(n)
		z := compressed(p)
		run := func(impl string, read func(dst []byte) error) {
			b.Run(fmt.Sprintf("takeover=false/size=%d/impl=%s", n, impl), func(b *testing.B) {
				dst := make([]byte, n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					if err := read(dst); err != nil {
						b.Fatal(err)
					}
				}
				if !bytes.Equal(dst, p) {
					b.Fatal("a wrong text")
				}
			})
		}
		whole := append(bytes.Clone(z), 0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff)
		src := bytes.NewReader(whole)
		std := flate.NewReader(src)
		run("std", func(dst []byte) error {
			src.Reset(whole)
			if err := std.(flate.Resetter).Reset(src, nil); err != nil {
				return err
			}
			_, err := io.ReadFull(std, dst)
			return err
		})
		gobwas := wsflate.NewReader(src, func(r io.Reader) wsflate.Decompressor { return resetReader{flate.NewReader(r)} })
		run("gobwas", func(dst []byte) error {
			src.Reset(z)
			gobwas.Reset(src)
			_, err := io.ReadFull(gobwas, dst)
			return err
		})
	}
}

// resetReader lets gobwas/ws use a reader of compress/flate again.
type resetReader struct{ io.ReadCloser }

func (r resetReader) Reset(src io.Reader) {
	_ = r.ReadCloser.(flate.Resetter).Reset(src, nil) // of flate.NewReader's; it has no way to fail
}

func compressed(p []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestSpeed) // 1 is a level
	_, _ = w.Write(p)                              // into memory
	_ = w.Flush()
	return bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff})
}
