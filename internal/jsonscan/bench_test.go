package jsonscan_test

import (
	"testing"

	"github.com/anasamu/comm/internal/jsonscan"
)

var frame = []byte(`{"id":"01HX","type":"chat.message","content":{"room":"lobby","text":"hello there, everyone"},"to":"group:lobby","log":"group:lobby","epoch":"k3.1","offset":41}`)

func BenchmarkJSONObject(b *testing.B) {
	members := 0
	count := func(_, _ []byte) error { members++; return nil }
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if err := jsonscan.Object(frame, count); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONAppendString(b *testing.B) {
	for _, text := range []struct{ name, s string }{
		{"plain", "a line of text with nothing in it that would have to be escaped"},
		{"special", "a line of text with \"quotes\", an \u00fc and nothing else that is special"},
	} {
		b.Run("text="+text.name, func(b *testing.B) {
			buf := make([]byte, 0, 256)
			b.SetBytes(int64(len(text.s)))
			b.ReportAllocs()
			for b.Loop() {
				buf = jsonscan.AppendString(buf[:0], text.s)
			}
		})
	}
}
