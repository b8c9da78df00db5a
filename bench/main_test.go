package main

import (
	"bytes"
	"compress/flate"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain plays a role where a test has started this binary as a server or client.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(playRole(role))
	}
	os.Exit(m.Run())
}

// Every row runs with every implementation that takes part in it.
func TestEveryRow(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := runRows(&out, options{rows: r.name, runs: 1, procs: 2, small: true, quiet: true}); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			if !strings.Contains(out.String(), "| comm this tree |") {
				t.Errorf("comm is not in the table:\n%s", out.String())
			}
		})
	}
}

// A client must not take a wrong answer for a right one.
func TestClientFindsWrongAnswers(t *testing.T) {
	s := &spec{Size: 128}
	l := &loop{}
	w := &wire{}
	good := func(seq uint64) []byte { return appendPayload(nil, seq, time.Now(), s.Size) }
	damaged := good(1)
	damaged[len(damaged)-4] ^= 1
	for _, c := range []struct {
		name    string
		payload []byte
		want    string
	}{
		{"two in one frame", slices.Concat(good(0), []byte("\n"), good(1)), ""},
		{"one that came before", good(1), "message 1 came where 2 must"},
		{"one too far", good(3), "message 3 came where 2 must"},
		{"a byte that changed", damaged, "damaged"},
		{"one cut short", good(2)[:100], "damaged"},
	} {
		r := newReceiver(s, l)
		err := r.take(w, serverFrame{payload: c.payload})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestEchoScriptFindsWrongAnswers(t *testing.T) {
	for _, s := range []*spec{{Size: 128}, {Size: 128, Deflate: true}, {Size: 512, Text: true}} {
		e := newEchoScript(s)
		f := serverFrame{op: e.op, fin: true, payload: e.payloads[3]}
		if s.Deflate {
			f.deflated, f.payload = true, deflated(e.payloads[3])
		}
		for range 2 { // the second time by what is remembered
			if err := e.check(3, f); err != nil {
				t.Errorf("%+v: the right answer: %v", s, err)
			}
		}
		if e.check(4, f) == nil {
			t.Errorf("%+v: the answer to another message passes", s)
		}
		f.op++
		if e.check(3, f) == nil {
			t.Errorf("%+v: another opcode passes", s)
		}
	}
}

func TestDeflatedIsOneMessage(t *testing.T) {
	p := bytes.Repeat([]byte("gateway "), 16)
	got, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(deflated(p)), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil || !bytes.Equal(got, p) {
		t.Errorf("%q, %v", got, err)
	}
}

// Chunks may end anywhere.
func TestChunkedStream(t *testing.T) {
	const stream = "7\r\ndata: a\r\n1\r\n\n\r\nb\r\n\ndata: bcd\n\r\n1\r\n\n\r\n"
	for cut := 1; cut < len(stream); cut++ {
		var got []string
		c, w := &chunked{}, &wire{}
		var rest []byte
		for _, part := range []string{stream[:cut], stream[cut:]} {
			var err error
			rest, err = c.parse(w, append(slices.Clone(rest), part...), func(_ *wire, f serverFrame) error {
				got = append(got, string(f.payload))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if want := []string{"data: a", "data: bcd"}; !slices.Equal(got, want) {
			t.Fatalf("cut at %d: %q", cut, got)
		}
	}
}

func TestVerdict(t *testing.T) {
	runs := func(name string, v ...float64) *result {
		s, err := subjectNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		r := &result{subject: s}
		for _, x := range v {
			r.add(metrics{"rate": x, "cpu": x}, nil)
		}
		return r
	}
	results := []*result{runs("comm", 30, 10, 20), runs("gws", 10), runs("gobwas", 4)}
	for _, c := range []struct {
		r    row
		want string
	}{
		{row{columns: []column{rateColumn}, target: target{ratio: 2}}, "at least 2.00 x gws. comm has 2.00 x: **met**"},
		{row{columns: []column{rateColumn}, target: target{ratio: 4}}, "comm has 2.00 x: **not met**, 50 % of it"},
		{row{columns: []column{cpuColumn}, target: target{ratio: 2.5}}, "at most 2.50 x gobwas. comm has 5.00 x: **not met**, 50 % of it"},
		{row{columns: []column{rateColumn, cpuColumn}, also: []target{{metric: "cpu", absolute: 10}}}, "Target: at most 10.00 server CPU, us/msg. comm has 20.00: **not met**, 50 % of it"},
		{row{columns: []column{rateColumn}, target: target{zero: true}}, "Target: 0. comm has 20: **not met**"},
	} {
		if got := verdict(c.r, results); !strings.Contains(got, c.want) {
			t.Errorf("%q does not say %q", got, c.want)
		}
	}
}
