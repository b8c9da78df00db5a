package sse_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/anasamu/comm/sse"
)

func TestEventAppend(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		ev   sse.Event
		want string
	}{
		{"zero", sse.Event{}, ""},
		{"data", sse.Event{Data: []byte("hi")}, "data: hi\n\n"},
		{"empty data", sse.Event{Data: []byte{}}, "data: \n\n"},
		{
			"all",
			sse.Event{ID: "7", Type: "chat", Data: []byte("hi"), Retry: 1500 * time.Millisecond, Comment: "c"},
			": c\nid: 7\nevent: chat\nretry: 1500\ndata: hi\n\n",
		},
		{"type without data", sse.Event{Type: "ping"}, "event: ping\ndata: \n\n"},
		{"id only", sse.Event{ID: "7"}, "id: 7\n\n"},
		{"reset id", sse.Event{ResetID: true, Data: []byte("x")}, "id\ndata: x\n\n"},
		{"retry rounds up", sse.Event{Retry: time.Microsecond}, "retry: 1\n\n"},
		{"longest retry", sse.Event{Retry: math.MaxInt64}, "retry: 9223372036855\n\n"},
		{"LF", sse.Event{Data: []byte("a\nb")}, "data: a\ndata: b\n\n"},
		{"CR", sse.Event{Data: []byte("a\rb")}, "data: a\ndata: b\n\n"},
		{"CRLF", sse.Event{Data: []byte("a\r\nb")}, "data: a\ndata: b\n\n"},
		{"LFCR is two", sse.Event{Data: []byte("a\n\rb")}, "data: a\ndata: \ndata: b\n\n"},
		{"trailing LF", sse.Event{Data: []byte("a\n")}, "data: a\ndata: \n\n"},
		{"leading space", sse.Event{Data: []byte(" a")}, "data:  a\n\n"},
		{"comment lines", sse.Event{Comment: "a\rdata: forged"}, ": a\n: data: forged\n\n"},
		{"forged event in data", sse.Event{Data: []byte("x\r\revent: admin\rdata: y")}, "data: x\ndata: \ndata: event: admin\ndata: data: y\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.ev.Append([]byte("before|"))
			if err != nil {
				t.Fatal(err)
			}
			if want := "before|" + tt.want; string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestEventAppendRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		ev     sse.Event
		field  string
		offset int
	}{
		{"LF in id", sse.Event{ID: "a\nb"}, "id", 1},
		{"CR in id", sse.Event{ID: "ab\r"}, "id", 2},
		{"NUL in id", sse.Event{ID: "\x00"}, "id", 0},
		{"LF in event", sse.Event{Type: "x\ndata: forged", Data: []byte("y")}, "event", 1},
		{"CR in event", sse.Event{Type: "x\rdata: forged"}, "event", 1},
		{"NUL in event", sse.Event{Type: "x\x00"}, "event", 1},
		{"bad UTF-8 in id", sse.Event{ID: "ab\xff"}, "id", 2},
		{"bad UTF-8 in event", sse.Event{Type: "é\xc3"}, "event", 2},
		{"negative retry", sse.Event{Retry: -time.Second}, "retry", -1},
		{"id and reset", sse.Event{ID: "1", ResetID: true}, "id", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.ev.Append([]byte("kept"))
			fe, ok := errors.AsType[*sse.FieldError](err)
			if !ok || fe.Field != tt.field || fe.Offset != tt.offset {
				t.Fatalf("got %v, want a FieldError of %q at %d", err, tt.field, tt.offset)
			}
			if !strings.Contains(err.Error(), `"`+tt.field+`"`) {
				t.Errorf("%q does not name the field", err)
			}
			if string(got) != "kept" {
				t.Errorf("dst became %q", got)
			}
		})
	}
}

func TestAppendID(t *testing.T) {
	t.Parallel()
	shared, err := (&sse.Event{Type: "chat", Data: []byte("hi")}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	line, err := sse.AppendID(nil, "c:5")
	if err != nil {
		t.Fatal(err)
	}
	got := parseAll(t, append(line, shared...))
	if len(got) != 1 || got[0].ID != "c:5" || got[0].Type != "chat" || string(got[0].Data) != "hi" {
		t.Errorf("got %+v", got)
	}
	if line, _ := sse.AppendID(nil, ""); string(line) != "id\n" {
		t.Errorf("empty id: %q", line)
	}
	if _, err := sse.AppendID(nil, "a\n"); err == nil {
		t.Error("a line feed was accepted")
	}
}

func TestEventAppendAllocs(t *testing.T) {
	ev := sse.Event{ID: "12", Type: "chat", Data: []byte("line\r\nline"), Retry: time.Second}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buf, _ = ev.Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func parseAll(t *testing.T, stream []byte) []sse.Event {
	t.Helper()
	var events []sse.Event
	for ev, err := range sse.NewDecoder(bytes.NewReader(stream)).Events() {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, ev)
	}
	return events
}

// normal is what a client makes of data: every line end becomes LF, what is not UTF-8 becomes U+FFFD.
func normal(data []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
}

func FuzzEventRoundTrip(f *testing.F) {
	f.Add("1", "chat", []byte("hello"), int64(1500), "note")
	f.Add("", "", []byte("a\r\nb\rc\nd\n"), int64(0), "")
	f.Add("é:5", "x y", []byte(" lead"), int64(1), "a\rb")
	f.Fuzz(func(t *testing.T, id, typ string, data []byte, ms int64, comment string) {
		ev := sse.Event{ID: id, Type: typ, Data: data, Retry: time.Duration(ms%1e9) * time.Millisecond, Comment: comment}
		wire, err := ev.Append(nil)
		if err != nil {
			if _, ok := errors.AsType[*sse.FieldError](err); !ok || len(wire) != 0 {
				t.Fatalf("%v with %q", err, wire)
			}
			return
		}
		// Two events follow each other, so that nothing of the first can leak into the second.
		events := parseAll(t, append(wire, "data: end\n\n"...))
		if data == nil && typ == "" {
			if len(events) != 1 || events[0].ID != id {
				t.Fatalf("%q gave %+v", wire, events)
			}
			return
		}
		if len(events) != 2 {
			t.Fatalf("%q gave %d events", wire, len(events))
		}
		got := events[0]
		if got.ID != id || got.Type != typ || got.Retry != ev.Retry {
			t.Fatalf("%q gave %+v", wire, got)
		}
		if utf8.Valid(data) && !bytes.Equal(got.Data, normal(data)) {
			t.Fatalf("data %q came back as %q", data, got.Data)
		}
		if end := events[1]; end.Type != "" || string(end.Data) != "end" {
			t.Fatalf("%q leaked into %+v", wire, end)
		}
	})
}
