package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anasamu/comm"
)

// Every carrier and every piece of the hub is measured, with tiny numbers, and
// what comes out is what a page gets.
func TestHold(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("before\n"+measuredBegin+"old\n"+measuredEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := runHold(&out, []string{"-small", "-write", page}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := []string{"WebSockets over TLS in the hub, on 8 GB", "stopped reading"}
	for _, c := range carriages {
		want = append(want, "| "+c.title+" | "+grouped(float64(200*max(1, c.times)))+" |")
	}
	for _, c := range collections {
		want = append(want, "| "+c.title+" |")
	}
	for _, p := range hubParts {
		want = append(want, "| "+p.name+" |")
	}
	for _, s := range want {
		if !strings.Contains(out.String(), s) {
			t.Errorf("the tables do not say %q:\n%s", s, out.String())
		}
	}
	doc, err := os.ReadFile(page)
	if want := "before\n" + measuredBegin + "\n" + out.String() + "\n" + measuredEnd + "after\n"; err != nil || string(doc) != want {
		t.Errorf("%v, the page is\n%s", err, doc)
	}
}

func TestHoldRefuses(t *testing.T) {
	for _, args := range [][]string{{"-n", "0"}, {"-carrier", "pigeon", "-small"}} {
		if err := runHold(&bytes.Buffer{}, args); err == nil {
			t.Errorf("%q passes", args)
		}
	}
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("no lines for it"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceMeasured(page, "new"); err == nil {
		t.Error("a page without a measured part passes")
	}
}

// Connections that are more than one process may open are spread, and counted
// together.
func TestHoldSpreads(t *testing.T) {
	s := holding{n: 60, small: true}.holdSpec(carriageNamed("hub"))
	m, err := holdIn(s, 60, 20)
	if err != nil || m["n"] != 60 || m["live"] < 100 || m["goroutines"] < 0.5 {
		t.Errorf("%v, %v", m, err)
	}
}

func TestGrouped(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := grouped(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

// What a client of HTTP/2 reads may be cut anywhere.
func TestH2Streams(t *testing.T) {
	stream := appendH2Frame(nil, h2Settings, h2Ack, 0, nil)
	stream = appendH2Frame(stream, h2Headers, h2EndHeaders, 1, []byte{h2Status200})
	stream = appendH2Frame(stream, h2Headers, h2EndHeaders, 3, []byte{h2Status200})
	for _, f := range []struct {
		stream uint32
		data   string
	}{{1, "data: a\n"}, {3, "data: b\n\nda"}, {1, "\n"}, {3, "ta: c\n\n"}} {
		stream = appendH2Frame(stream, h2Data, 0, f.stream, []byte(f.data))
	}
	for cut := range len(stream) {
		h := &h2Streams{members: []*wire{{index: 0}, {index: 1}}}
		var got []string
		var rest []byte
		for _, part := range [][]byte{stream[:cut], stream[cut:]} {
			var err error
			rest, err = h.parse(nil, append(bytes.Clone(rest), part...), func(w *wire, f serverFrame) error {
				got = append(got, string('0'+rune(w.index))+string(f.payload))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if s := strings.Join(got, " "); s != "1data: b 0data: a 1data: c" || h.open != 2 {
			t.Fatalf("cut at %d: %q, %d streams open", cut, s, h.open)
		}
	}
	h := &h2Streams{members: []*wire{{}}}
	if _, err := h.parse(nil, appendH2Frame(nil, h2Data, h2EndStream, 1, nil), nil); err == nil {
		t.Error("the end of a stream passes")
	}
}

// The configuration that the page on memory gives is one.
func TestMemoryPageConfig(t *testing.T) {
	page, err := os.ReadFile("../docs/memory.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(page, []byte("```json\n"))
	doc, _, ok2 := bytes.Cut(rest, []byte("```\n"))
	if !ok || !ok2 {
		t.Fatal("the page has no JSON")
	}
	if _, err := comm.New(comm.WithInMemory(), comm.WithConfigJSON("docs/memory.md", doc), comm.WithProvider(&sinkProvider{})); err != nil {
		t.Error(err)
	}
	for _, line := range []string{measuredBegin, measuredEnd} {
		if !bytes.Contains(page, []byte("\n"+line)) {
			t.Errorf("the page has no line %q", line)
		}
	}
}
