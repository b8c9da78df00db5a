package comm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// chat is what the benchmarks send; bench/internal/micro has the same.
type chat struct {
	Room string `json:"room"`
	Text string `json:"text"`
}

// chatFrames are frames of each size and kind that pass in numbers, by the name of their benchmark.
func chatFrames(b *testing.B) (names []string, frames []*comm.Frame) {
	b.Helper()
	add := func(name string, f *comm.Frame) { names, frames = append(names, name), append(frames, f) }
	for _, n := range []int{32, 1 << 10, 16 << 10} {
		m, err := comm.NewMessage("chat.message", chat{"lobby", strings.Repeat("x", n)}, comm.WithID("m1"), comm.WithTimestamp(time.Time{})) // a browser gives none
		if err != nil {
			b.Fatal(err)
		}
		add(fmt.Sprintf("kind=client/size=%d", n), &comm.Frame{Op: comm.OpMessage, ID: "m1", Message: m})
	}
	full, err := comm.NewMessage("chat.message", chat{"lobby", strings.Repeat("x", 32)}, comm.WithID("01HX"), comm.WithFrom("ann"),
		comm.WithTimestamp(time.Date(2026, 11, 24, 12, 0, 0, 5, time.UTC)), comm.WithHeader("lang", "el"))
	if err != nil {
		b.Fatal(err)
	}
	add("kind=delivery/size=32", &comm.Frame{Op: comm.OpMessage, Message: full, Log: comm.LogPosition{Log: "group:lobby", Epoch: "k3.1", Offset: 41}})
	add("kind=ack", &comm.Frame{Op: comm.OpAck, ID: "m1"})
	add("kind=ping", &comm.Frame{Op: comm.OpPing})
	return names, frames
}

// BenchmarkFrameAppend encodes frames of the client protocol.
func BenchmarkFrameAppend(b *testing.B) {
	names, frames := chatFrames(b)
	for i, f := range frames {
		b.Run(names[i]+"/impl=comm", func(b *testing.B) {
			buf, err := comm.JSON().AppendFrame(nil, f)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if buf, err = comm.JSON().AppendFrame(buf[:0], f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFrameParse decodes them.
func BenchmarkFrameParse(b *testing.B) {
	names, frames := chatFrames(b)
	for i, f := range frames {
		b.Run(names[i]+"/impl=comm", func(b *testing.B) {
			line, err := comm.JSON().AppendFrame(nil, f)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				if got, err := comm.JSON().ParseFrame(line); err != nil || got.Op != f.Op {
					b.Fatal(got, err)
				}
			}
		})
	}
}

// BenchmarkMessageEncode makes a message of a value, as a handler does.
func BenchmarkMessageEncode(b *testing.B) {
	for _, n := range []int{32, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("size=%d/impl=comm", n), func(b *testing.B) {
			v := chat{"lobby", strings.Repeat("x", n)}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := comm.NewMessage("chat.message", v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMessageDecode is what a handler's argument costs.
func BenchmarkMessageDecode(b *testing.B) {
	for _, n := range []int{32, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("size=%d/impl=comm", n), func(b *testing.B) {
			m, err := comm.NewMessage("chat.message", chat{"lobby", strings.Repeat("x", n)})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if v, err := comm.Decode[chat](m); err != nil || len(v.Text) != n {
					b.Fatal(err)
				}
			}
		})
	}
}

// somePosition is a client that has read so many logs.
func somePosition(logs int) comm.Position {
	var p comm.Position
	for i := range logs {
		p.Set(comm.LogPosition{Log: fmt.Sprintf("group:room %02d", i), Epoch: "k3abcdefghij.1", Offset: uint64(1000 + i)})
	}
	return p
}

func BenchmarkPositionAppend(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("logs=%d", n), func(b *testing.B) {
			p := somePosition(n)
			buf := p.Append(nil)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = p.Append(buf[:0])
			}
		})
	}
}

func BenchmarkPositionParse(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("logs=%d", n), func(b *testing.B) {
			text := somePosition(n).String()
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if p, err := comm.ParsePosition(text); err != nil || p.Len() != n {
					b.Fatal(p, err)
				}
			}
		})
	}
}
