package commquic_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

func chat(t testing.TB, size int) *comm.Frame {
	t.Helper()
	m, err := comm.Members{
		ID: "7KQ2ZJ3V4M5N6P7R", Type: "chat", Content: bytes.Repeat([]byte("x"), size), ContentType: "application/octet-stream",
	}.Message()
	if err != nil {
		t.Fatal(err)
	}
	return &comm.Frame{ID: m.ID(), Message: m}
}

// What the form cannot say is an error, and leaves what was there as it was.
func TestFramesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	late, err := comm.NewMessage("t", 1, comm.WithTimestamp(time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*comm.Frame{
		"offset over 2^62-1": {Op: comm.OpJoined, Group: "g", Log: comm.LogPosition{Log: "group:g", Epoch: "k", Offset: 1 << 62}},
		"the year 10001":     {Message: late},
		"no message":         {},
		"no welcome":         {Op: comm.OpWelcome},
		"no op":              {Op: 200},
	} {
		b, err := commquic.Codec().AppendFrame([]byte("before"), f)
		if err == nil || string(b) != "before" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// The length of a frame takes as many bytes as it needs, whatever was guessed.
func TestFrameLengths(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 30, 60, 63, 64, 100, 16_300, 16_383, 16_384, 1 << 20} {
		want := chat(t, size)
		b, err := commquic.Codec().AppendFrame([]byte("before"), want)
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatal(err)
		}
		got, err := commquic.Codec().ParseFrame(b[len("before"):])
		if err != nil || len(got.Message.Content()) != size {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

// A large message is the same on the wire whether its content is sent with the rest or from where it is.
func TestHeadAndContent(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 63, 16_383, 16_384, 100_000, 1 << 20} {
		f := chat(t, size)
		want, err := commquic.Codec().AppendFrame(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		head, err := commquic.AppendHead(nil, f)
		if got := append(head, f.Message.Content()...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %x..., %v, want %x...", size, got[:8], err, want[:8])
		}
	}
}

// A frame that was read holds nothing of what it was read from.
func TestFramesKeepNothing(t *testing.T) {
	t.Parallel()
	for _, v := range load[vector](t, "frames.json") {
		b := unhex(t, v.Hex)
		f, err := commquic.Codec().ParseFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if got := canonical(t, f); got != compact(t, v.JSON) {
			t.Errorf("%s reads as %s after its bytes were overwritten", v.Name, got)
		}
	}
}

// Nothing is allocated but what the message needs: the frame, the message, its text and its content; and for one
// that is written into a buffer, nothing.
func TestFrameAllocations(t *testing.T) {
	f := chat(t, 100)
	var buf []byte
	if n := testing.AllocsPerRun(100, func() { buf, _ = commquic.Codec().AppendFrame(buf[:0], f) }); n > 0 {
		t.Errorf("%v allocations to write", n)
	}
	m, err := comm.Members{ID: "m1", Type: "chat", Content: []byte(`{"text":"hello"}`)}.Message()
	if err != nil {
		t.Fatal(err)
	}
	line, err := commquic.Codec().AppendFrame(nil, &comm.Frame{Message: m})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = commquic.Codec().ParseFrame(line) }); n > 4 {
		t.Errorf("%v allocations to read a message, want 4: frame, message, text, content", n)
	}
}

// A length that is announced is not believed: a stream that ends early has cost no more than a piece.
func TestAnnouncedLengths(t *testing.T) {
	t.Parallel()
	head := []byte{0x01, 0xbf, 0xff, 0xff, 0xf0} // a frame of 2^30 bytes
	n := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if frames, end := commquic.ReadFrames(bytes.NewReader(head), 1<<31-1, false); frames != 0 || end != "unexpected" {
				b.Fatal(frames, end)
			}
		}
	})
	if n.AllocedBytesPerOp() > 1<<20 {
		t.Errorf("%d bytes for a head of 5", n.AllocedBytesPerOp())
	}
	if frames, end := commquic.ReadFrames(bytes.NewReader(head), 1<<20, false); frames != 0 || end != "large" {
		t.Errorf("%d frames, %s, want too large", frames, end)
	}
}

func TestLaneFrames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "files", strings.Repeat("x", 128)} {
		got, p, err := commquic.ReadLane(commquic.LaneFrame(name, comm.PriorityLow))
		if err != nil || got != name || p != comm.PriorityLow {
			t.Errorf("%q: %q, %d, %v", name, got, p, err)
		}
	}
	if got, _, err := commquic.ReadLane(commquic.LaneFrame(strings.Repeat("x", 129), 0)); got != "" || err != nil {
		t.Errorf("a name that is too long is told as %q, %v", got, err)
	}
	for why, b := range map[string][]byte{
		"another frame":      {0x01, 0x00},
		"no field":           {0x20, 0x01, 33},
		"name not UTF-8":     {0x20, 0x03, 33, 1, 0xff},
		"priority no number": {0x20, 0x02, 34, 0},
	} {
		if _, _, err := commquic.ReadLane(b); err == nil {
			t.Errorf("%s: taken", why)
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	for name, codec := range map[string]comm.Codec{"json": comm.JSON(), "binary": commquic.Codec()} {
		m, err := comm.NewMessage("chat", map[string]any{"text": strings.Repeat("x", 60), "n": 12345})
		if err != nil {
			b.Fatal(err)
		}
		f := &comm.Frame{ID: m.ID(), Message: m}
		line, err := codec.AppendFrame(nil, f)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/append", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf, _ = codec.AppendFrame(buf[:0], f)
			}
		})
		b.Run(name+"/parse", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.ParseFrame(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
