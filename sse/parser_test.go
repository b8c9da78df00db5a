package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/anasamu/comm/sse"
)

// show gives events one line each, so that tables stay readable.
func show(events []sse.Event) string {
	var b strings.Builder
	for _, ev := range events {
		fmt.Fprintf(&b, "[%s|%s|%q|%v]", ev.ID, ev.Type, ev.Data, ev.Retry)
	}
	return b.String()
}

func TestParser(t *testing.T) {
	t.Parallel()
	const bom = "\xEF\xBB\xBF"
	tests := []struct{ name, in, want, lastID string }{
		{"standard's first example", "data: YHOO\ndata: +2\ndata: 10\n\n", `[||"YHOO\n+2\n10"|0s]`, ""},
		{
			"standard's second example", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
			`[1||"first event"|0s][||"second event"|0s][||" third event"|0s]`, "",
		},
		{"standard's third example", "data\n\ndata\ndata\n\ndata:", `[||""|0s][||"\n"|0s]`, ""},
		{"standard's fourth example", "data:test\n\ndata: test\n\n", `[||"test"|0s][||"test"|0s]`, ""},
		{"BOM", bom + "data: x\n\n", `[||"x"|0s]`, ""},
		{"one BOM only", bom + bom + "data: x\n\n", "", ""},
		{"part of a BOM", "\xEF\xBBdata: x\ndata: y\n\n", `[||"y"|0s]`, ""},
		{"CR", "data: x\r\rdata: y\r\r", `[||"x"|0s][||"y"|0s]`, ""},
		{"CRLF", "data: x\r\n\r\ndata: y\r\n\r\n", `[||"x"|0s][||"y"|0s]`, ""},
		{"mixed ends", "data: x\r\ndata: y\rdata: z\n\r\n", `[||"x\ny\nz"|0s]`, ""},
		{"LF CR is two", "data: x\n\rdata: y\n\n", `[||"x"|0s][||"y"|0s]`, ""},
		{"comment", ":\n:c\ndata: x\n: data: y\n\n", `[||"x"|0s]`, ""},
		{"one space stripped", "data:  x\n\n", `[||" x"|0s]`, ""},
		{"tab kept", "data:\tx\n\n", `[||"\tx"|0s]`, ""},
		{"colons in value", "data:a:b: c\n\n", `[||"a:b: c"|0s]`, ""},
		{"unknown field", "dat: x\nDATA: y\n data: z\ndata : w\n\n", "", ""},
		{"id with NUL ignored", "id: 1\n\nid: a\x00b\ndata: x\n\n", `[1||"x"|0s]`, "1"},
		{"empty id resets", "id: 1\n\nid:\ndata: x\n\n", `[||"x"|0s]`, ""},
		{"id persists", "id: 1\ndata: x\n\ndata: y\n\n", `[1||"x"|0s][1||"y"|0s]`, "1"},
		{"id committed without an event", "id: 9\n\n", "", "9"},
		{"id not committed at the end", "id: 1\n\nid: 2\ndata: x", "", "1"},
		{"id not committed by its line", "id: 1\n\nid: 2\n", "", "1"},
		{"type reset when nothing is dispatched", "event: a\n\ndata: x\n\n", `[||"x"|0s]`, ""},
		{"last type wins", "event: a\nevent: b\ndata: x\n\n", `[|b|"x"|0s]`, ""},
		{"empty type is the default", "event: a\nevent\ndata: x\n\n", `[||"x"|0s]`, ""},
		{"type of one event only", "event: a\ndata: x\n\ndata: y\n\nevent: a\ndata: z\n\n", `[|a|"x"|0s][||"y"|0s][|a|"z"|0s]`, ""},
		{"retry", "retry: 1500\ndata: x\n\ndata: y\n\n", `[||"x"|1.5s][||"y"|0s]`, ""},
		{"retry of digits only", "retry: 1x\nretry: -1\nretry: +1\nretry:\nretry: 1.5\ndata: x\n\n", `[||"x"|0s]`, ""},
		{"end discards", "data: x\n\ndata: y\n", `[||"x"|0s]`, ""},
		{"blank lines", "\n\n\r\r\n\r\n", "", ""},
		{
			"ill-formed UTF-8", "data: a\xE2\x82b\xFFc\xED\xA0\x80\nevent: \xC3\nid: \xF0\x9F\x98\ndata:\xF0\x9F\x98\x80\n\n",
			"[\uFFFD|\uFFFD|\"a\uFFFDb\uFFFDc\uFFFD\uFFFD\uFFFD\\n\U0001F600\"|0s]", "\uFFFD",
		},
		{"NUL in data", "data: a\x00b\n\n", `[||"a\x00b"|0s]`, ""},
		{"empty stream", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 3, 7, len(tt.in) + 1} {
				var p sse.Parser
				got, err := feed(&p, []byte(tt.in), size)
				if err != nil {
					t.Fatal(err)
				}
				if show(got) != tt.want || p.LastEventID() != tt.lastID {
					t.Errorf("chunks of %d: got %s id %q, want %s id %q", size, show(got), p.LastEventID(), tt.want, tt.lastID)
				}
			}
		})
	}
}

// feed parses stream cut into chunks of size bytes.
func feed(p *sse.Parser, stream []byte, size int) ([]sse.Event, error) {
	var events []sse.Event
	for len(stream) > 0 {
		chunk := bytes.Clone(stream[:min(size, len(stream))])
		stream = stream[len(chunk):]
		for len(chunk) > 0 {
			ev, rest, ok, err := p.Next(chunk)
			if err != nil {
				return events, err
			}
			if ok {
				ev.Data = bytes.Clone(ev.Data)
				events = append(events, ev)
			}
			chunk = rest
		}
	}
	return events, nil
}

func TestParserReset(t *testing.T) {
	t.Parallel()
	var p sse.Parser
	if _, err := feed(&p, []byte("id: 5\nretry: 100\ndata: x\n\ndata: unfinished\r"), 4); err != nil {
		t.Fatal(err)
	}
	p.Reset(p.LastEventID())
	got, err := feed(&p, []byte("\ndata: y\n\n"), 4)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[5||"y"|0s]`; show(got) != want {
		t.Errorf("got %s, want %s", show(got), want)
	}
	if _, hinted := p.Retry(); hinted {
		t.Error("the retry hint outlived Reset")
	}
}

func TestParserRetry(t *testing.T) {
	t.Parallel()
	var p sse.Parser
	if _, err := feed(&p, []byte("retry: 99999999999999999999999\n"), 5); err != nil {
		t.Fatal(err)
	}
	if d, ok := p.Retry(); !ok || d < 1e6*time.Hour {
		t.Errorf("an enormous value gave %v, %v", d, ok)
	}
	if _, err := feed(&p, []byte("retry: 0\n"), 5); err != nil {
		t.Fatal(err)
	}
	if d, ok := p.Retry(); !ok || d != 0 {
		t.Errorf("zero gave %v, %v", d, ok)
	}
}

func TestParserLimit(t *testing.T) {
	t.Parallel()
	const limit = 100
	tests := []struct {
		name, in string
		ok       bool
	}{
		{"event at the limit", "data:" + strings.Repeat("x", limit-5) + "\n\n", true},
		{"line over", "data:" + strings.Repeat("x", limit-4) + "\n\n", false},
		{"endless line", strings.Repeat("x", 2*limit), false},
		{"endless comment", ":" + strings.Repeat("x", 2*limit), false},
		{"many lines", strings.Repeat("data:xxxxxxxxxx\n", limit/10), false},
		{"many events", strings.Repeat("data:xxxxxxxxxx\n\n", limit), true},
		{"many comments", strings.Repeat(": xxxxxxxxxx\n", limit), true},
		{"id and data", "id:" + strings.Repeat("i", 60) + "\ndata:" + strings.Repeat("x", 60) + "\n\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 13, len(tt.in)} {
				var p sse.Parser
				p.SetMaxEventSize(limit)
				_, err := feed(&p, []byte(tt.in), size)
				if tt.ok {
					if err != nil {
						t.Errorf("chunks of %d: %v", size, err)
					}
					continue
				}
				if se, ok := errors.AsType[*sse.SizeError](err); !ok || se.Limit != limit {
					t.Errorf("chunks of %d: got %v, want a SizeError", size, err)
				}
				if _, _, _, again := p.Next([]byte("data: x\n\n")); again != err {
					t.Errorf("the error is not final: %v", again)
				}
			}
		})
	}
}

func TestParserAllocs(t *testing.T) {
	stream := []byte("id: 1\nevent: chat\ndata: hello\n\n")
	var p sse.Parser
	if n := testing.AllocsPerRun(100, func() {
		if _, _, ok, _ := p.Next(stream); !ok {
			t.Fatal("no event")
		}
	}); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func TestDecoder(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	d := sse.NewDecoder(io.MultiReader(iotest.OneByteReader(strings.NewReader("id: 1\ndata: x\n\ndata: y\n\ndata: z")), iotest.ErrReader(broken)))
	first, err := d.Next()
	if err != nil {
		t.Fatal(err)
	}
	second, err := d.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show([]sse.Event{first, second}), `[1||"x"|0s][1||"y"|0s]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for range 2 {
		if _, err := d.Next(); err != broken {
			t.Errorf("got %v, want the reader's error", err)
		}
	}
}

func TestDecoderEnds(t *testing.T) {
	t.Parallel()
	d := sse.NewDecoder(iotest.DataErrReader(strings.NewReader("data: x\n\ndata: unfinished\n")))
	if ev, err := d.Next(); err != nil || string(ev.Data) != "x" {
		t.Fatalf("%+v, %v", ev, err)
	}
	if _, err := d.Next(); err != io.EOF {
		t.Errorf("got %v, want io.EOF", err)
	}
	if _, err := sse.NewDecoder(lazyReader{}).Next(); err != io.ErrNoProgress {
		t.Errorf("a reader that never reads: %v", err)
	}
	d = sse.NewDecoder(strings.NewReader("data: too long\n\n"))
	d.SetMaxEventSize(5)
	if _, err := d.Next(); err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Errorf("got %v, want the limit named", err)
	}
}

type lazyReader struct{}

func (lazyReader) Read([]byte) (int, error) { return 0, nil }

func FuzzParserChunks(f *testing.F) {
	f.Add([]byte("data: a\r\n\r\nid: 1\rdata: b\r\r: c\nretry: 5\n\n"), uint8(1), uint8(3))
	f.Add([]byte("\xEF\xBB\xBFevent: x\ndata\n\n"), uint8(2), uint8(5))
	f.Add([]byte("\xEF\xBBdata: \xE2\x82\n\nid: \x00\n\n"), uint8(1), uint8(1))
	f.Add([]byte("data: "+strings.Repeat("x", 70)), uint8(9), uint8(60))
	f.Fuzz(func(t *testing.T, stream []byte, a, b uint8) {
		var whole, cut sse.Parser
		whole.SetMaxEventSize(64)
		cut.SetMaxEventSize(64)
		want, wantErr := feed(&whole, stream, len(stream)+1)
		var got []sse.Event
		var gotErr error
		for i, rest := 0, stream; len(rest) > 0 && gotErr == nil; i++ {
			n := min(1+int([2]uint8{a, b}[i%2]), len(rest))
			var events []sse.Event
			events, gotErr = feed(&cut, rest[:n], n)
			got, rest = append(got, events...), rest[n:]
		}
		if show(got) != show(want) || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("cut: %s %v\nwhole: %s %v", show(got), gotErr, show(want), wantErr)
		}
		if wantErr == nil && whole.LastEventID() != cut.LastEventID() {
			t.Fatalf("ids %q and %q", whole.LastEventID(), cut.LastEventID())
		}
	})
}
