package sse_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// The names, sizes and text of BenchmarkSSEEncode are those of bench/internal/micro.
func BenchmarkSSEEncode(b *testing.B) {
	for _, row := range []struct {
		name string
		ev   sse.Event
	}{
		{"data=json/size=128", sse.Event{ID: "a:123", Type: "message", Data: bytes.Repeat([]byte("x"), 128)}},
		{"data=json/size=65536", sse.Event{ID: "a:123", Type: "message", Data: bytes.Repeat([]byte("x"), 64<<10)}},
		{"data=lines/size=1160", sse.Event{ID: "a:123", Type: "message", Data: bytes.Repeat([]byte("a line of text, as logs have\n"), 40)}},
	} {
		b.Run(row.name+"/impl=comm", func(b *testing.B) {
			buf, err := row.ev.Append(nil)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if buf, err = row.ev.Append(buf[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A message as one event, as the first of its receivers has it made for all.
func BenchmarkSSEFormat(b *testing.B) {
	for _, n := range []int{128, 4 << 10} {
		b.Run("size="+strconv.Itoa(n), func(b *testing.B) {
			m, err := comm.NewMessage("chat", map[string]string{"text": strings.Repeat("x", n)})
			if err != nil {
				b.Fatal(err)
			}
			f := &comm.Frame{Op: comm.OpMessage, Message: m}
			dst, err := sse.Format.Append(nil, f)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(dst)))
			b.ReportAllocs()
			for b.Loop() {
				if dst, err = sse.Format.Append(dst[:0], f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSSEParse(b *testing.B) {
	for _, row := range []struct{ name, event string }{
		{"event=small", "id: a:123\nevent: message\ndata: {\"id\":\"01\",\"type\":\"chat\",\"content\":\"hello\"}\n\n"},
		{"event=4KiB", "data: " + strings.Repeat("x", 4<<10) + "\n\n"},
		{"event=CR", "id: a:123\rdata: hello\r\r"},
	} {
		b.Run(row.name, func(b *testing.B) {
			stream := bytes.Repeat([]byte(row.event), max(1, 4096/len(row.event)))
			var p sse.Parser
			events := 0
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				for rest, ok := stream, true; ok; events++ {
					_, rest, ok, _ = p.Next(rest)
				}
			}
			if events < b.N {
				b.Fatal(events)
			}
		})
	}
}
