package commquic_test

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

func seed(f *testing.F) (frames [][]byte) {
	for _, v := range load[vector](f, "frames.json") {
		frames = append(frames, unhex(f, v.Hex))
	}
	for _, v := range load[refused](f, "refused.json") {
		frames = append(frames, unhex(f, v.Hex))
	}
	for _, v := range load[also](f, "also.json") {
		frames = append(frames, unhex(f, v.Hex))
	}
	return frames
}

// FuzzFrame: whatever is read is written so that it reads the same, and a frame that keeps its bytes is like one
// that copies them.
func FuzzFrame(f *testing.F) {
	for _, b := range seed(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := commquic.Codec().ParseFrame(data)
		owned, oerr := commquic.ParseOwned(bytes.Clone(data))
		if (err == nil) != (oerr == nil) {
			t.Fatalf("%v and %v", err, oerr)
		}
		if err != nil {
			return
		}
		b, err := commquic.Codec().AppendFrame(nil, first)
		if err != nil {
			t.Fatalf("%x is read and cannot be written: %v", data, err)
		}
		second, err := commquic.Codec().ParseFrame(b)
		if err != nil {
			t.Fatalf("%x is written as %x: %v", data, b, err)
		}
		want := canonical(t, first)
		if got := canonical(t, second); got != want || canonical(t, owned) != want {
			t.Fatalf("%x reads as %s, and again as %s", data, want, got)
		}
	})
}

// FuzzStream: a stream's frames are the same however its bytes come, and nothing is believed that does not come.
func FuzzStream(f *testing.F) {
	all := seed(f)
	for i, b := range all {
		f.Add(append(bytes.Clone(b), all[(i+1)%len(all)]...), false)
	}
	f.Add(append(commquic.LaneFrame("files", comm.PriorityHigh), all[0]...), true)
	f.Add(bytes.Repeat(all[0], 4000), false)
	f.Fuzz(func(t *testing.T, data []byte, lane bool) {
		whole, end := commquic.ReadFrames(bytes.NewReader(data), 1<<20, lane)
		for name, r := range map[string]io.Reader{
			"bytes":         iotest.OneByteReader(bytes.NewReader(data)),
			"halves":        iotest.HalfReader(bytes.NewReader(data)),
			"data with EOF": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			if n, e := commquic.ReadFrames(r, 1<<20, lane); n != whole || e != end {
				t.Fatalf("%s: %d frames and %s, want %d and %s", name, n, e, whole, end)
			}
		}
	})
}

// FuzzLane: the frame that opens a lane.
func FuzzLane(f *testing.F) {
	f.Add(commquic.LaneFrame("files", comm.PriorityNormal))
	f.Add(commquic.LaneFrame("", comm.PriorityLow))
	f.Add([]byte{0x20, 0})
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		name, p, err := commquic.ReadLane(data)
		if err != nil {
			return
		}
		again, q, err := commquic.ReadLane(commquic.LaneFrame(name, p))
		if err != nil || again != name || q != p {
			t.Fatalf("%q, %d reads as %q, %d, %v", name, p, again, q, err)
		}
	})
}
