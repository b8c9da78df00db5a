package micro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"
)

func BenchmarkSSEEncode(b *testing.B) {
	for _, row := range []struct{ name, data string }{
		{"data=json/size=128", strings.Repeat("x", 128)},
		{"data=json/size=65536", strings.Repeat("x", 64<<10)},
		{"data=lines/size=1160", strings.Repeat("a line of text, as logs have\n", 40)},
	} {
		b.Run(row.name+"/impl=go-sse", func(b *testing.B) {
			var out bytes.Buffer
			write := func() {
				m := sse.Message{ID: sse.ID("a:123"), Type: sse.Type("message")}
				m.AppendData(row.data)
				out.Reset()
				if _, err := m.WriteTo(&out); err != nil {
					b.Fatal(err)
				}
			}
			write()
			b.SetBytes(int64(out.Len()))
			b.ReportAllocs()
			for b.Loop() {
				write()
			}
		})
	}
}

// jsonFrame is comm's frame as a program without a codec of its own reads it.
type jsonFrame struct {
	Op        string            `json:"op,omitempty"`
	ID        string            `json:"id,omitempty"`
	Type      string            `json:"type,omitempty"`
	Content   json.RawMessage   `json:"content,omitempty"`
	From      string            `json:"from,omitempty"`
	Timestamp *time.Time        `json:"timestamp,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Log       string            `json:"log,omitempty"`
	Epoch     string            `json:"epoch,omitempty"`
	Offset    uint64            `json:"offset,omitempty"`
}

type chat struct {
	Room string `json:"room"`
	Text string `json:"text"`
}

func content(b *testing.B, n int) json.RawMessage {
	doc, err := json.Marshal(chat{"lobby", strings.Repeat("x", n)})
	if err != nil {
		b.Fatal(err)
	}
	return doc
}

func chatFrames(b *testing.B) (names []string, frames []jsonFrame) {
	for _, n := range []int{32, 1 << 10, 16 << 10} {
		names = append(names, fmt.Sprintf("kind=client/size=%d", n))
		frames = append(frames, jsonFrame{ID: "m1", Type: "chat.message", Content: content(b, n)})
	}
	at := time.Date(2026, 11, 24, 12, 0, 0, 5, time.UTC)
	names = append(names, "kind=delivery/size=32", "kind=ack", "kind=ping")
	frames = append(frames,
		jsonFrame{ID: "01HX", Type: "chat.message", Content: content(b, 32), From: "ann", Timestamp: &at, Headers: map[string]string{"lang": "el"}, Log: "group:lobby", Epoch: "k3.1", Offset: 41},
		jsonFrame{Op: "ack", ID: "m1"}, jsonFrame{Op: "ping"})
	return names, frames
}

func BenchmarkFrameAppend(b *testing.B) {
	names, frames := chatFrames(b)
	for i := range frames {
		b.Run(names[i]+"/impl=std", func(b *testing.B) {
			doc, err := json.Marshal(&frames[i])
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(&frames[i]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFrameParse(b *testing.B) {
	names, frames := chatFrames(b)
	for i := range frames {
		b.Run(names[i]+"/impl=std", func(b *testing.B) {
			doc, err := json.Marshal(&frames[i])
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				var f jsonFrame
				if err := json.Unmarshal(doc, &f); err != nil || f.ID != frames[i].ID {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMessageEncode(b *testing.B) {
	for _, n := range []int{32, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("size=%d/impl=std", n), func(b *testing.B) {
			v := chat{"lobby", strings.Repeat("x", n)}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMessageDecode(b *testing.B) {
	for _, n := range []int{32, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("size=%d/impl=std", n), func(b *testing.B) {
			doc := content(b, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				var v chat
				if err := json.Unmarshal(doc, &v); err != nil || len(v.Text) != n {
					b.Fatal(err)
				}
			}
		})
	}
}
