package commquic_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commquic "github.com/anasamu/comm/quic"
)

// update writes testdata/frames.json anew from the vectors of comm.v1.json. The file is what holds: a change of it
// is a change of the protocol.
var update = flag.Bool("update", false, "write the test vectors anew")

// vector is one frame in both forms.
type vector struct {
	Name      string          `json:"name"`
	Direction string          `json:"direction"`
	JSON      json.RawMessage `json:"json"`
	Hex       string          `json:"hex"`
}

// refused is a frame that breaks the form.
type refused struct {
	Name  string    `json:"name"`
	Why   string    `json:"why"`
	Hex   string    `json:"hex"`
	Error comm.Code `json:"error"`
	ID    string    `json:"id"`
}

// also are frames that are taken though nothing here writes them so.
type also struct {
	Name string          `json:"name"`
	Why  string          `json:"why"`
	Hex  string          `json:"hex"`
	JSON json.RawMessage `json:"json"`
}

func load[T any](t testing.TB, name string) (list []T) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %d vectors, %v", name, len(list), err)
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// canonical is a frame as comm.v1.json writes it.
func canonical(t testing.TB, f *comm.Frame) string {
	t.Helper()
	b, err := comm.JSON().AppendFrame(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every frame of PROTOCOL.md is the same frame after JSON, the binary form and back.
func TestFramesOfTheProtocol(t *testing.T) {
	t.Parallel()
	all, err := commtest.Vectors()
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	for _, v := range all {
		if v.Error != "" {
			continue
		}
		f, err := comm.JSON().ParseFrame([]byte(v.Frame))
		if err != nil {
			t.Fatal(err)
		}
		b, err := commquic.Codec().AppendFrame(nil, f)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		again, err := commquic.Codec().ParseFrame(b)
		if err != nil {
			t.Fatalf("%s: %x: %v", v.Name, b, err)
		}
		want := canonical(t, f)
		if got := canonical(t, again); got != want {
			t.Errorf("%s: %x reads as %s, want %s", v.Name, b, got, want)
		}
		list = append(list, vector{v.File + ": " + v.Name, v.Direction, json.RawMessage(want), hex.EncodeToString(b)})
	}
	if *update {
		b, err := json.MarshalIndent(list, "", "  ")
		if err == nil {
			err = os.WriteFile("testdata/frames.json", append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The vectors of testdata are what is written and read.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range load[vector](t, "frames.json") {
		want := compact(t, v.JSON)
		f, err := commquic.Codec().ParseFrame(unhex(t, v.Hex))
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if got := canonical(t, f); got != want {
			t.Errorf("%s reads as %s, want %s", v.Name, got, want)
		}
		f, err = comm.JSON().ParseFrame([]byte(want))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := commquic.Codec().AppendFrame(nil, f); err != nil || hex.EncodeToString(b) != v.Hex {
			t.Errorf("%s is written as %x, %v, want %s", v.Name, b, err, v.Hex)
		}
	}
}

func compact(t testing.TB, v json.RawMessage) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What a later version, or another implementation, may write is read.
func TestVectorsAlsoRead(t *testing.T) {
	t.Parallel()
	for _, v := range load[also](t, "also.json") {
		f, err := commquic.Codec().ParseFrame(unhex(t, v.Hex))
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if got := canonical(t, f); got != compact(t, v.JSON) {
			t.Errorf("%s reads as %s, want %s", v.Name, got, v.JSON)
		}
	}
}

// What breaks the form is refused with its code, and the frame's id where there is one.
func TestVectorsRefused(t *testing.T) {
	t.Parallel()
	for _, v := range load[refused](t, "refused.json") {
		f, err := commquic.Codec().ParseFrame(unhex(t, v.Hex))
		fe, ok := errors.AsType[*comm.FrameError](err)
		if !ok || fe.Code != v.Error || fe.ID != v.ID || fe.Text == "" {
			t.Errorf("%s: %+v, %v, want %s for %q", v.Name, f, err, v.Error, v.ID)
		}
	}
}
