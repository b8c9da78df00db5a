package trace_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/trace"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const ids = traceID + "-" + spanID
	for header, want := range map[string]string{ // "" is refused
		"00-" + ids + "-01":         "00-" + ids + "-01",
		"00-" + ids + "-00":         "00-" + ids + "-00",
		"00-" + ids + "-02":         "00-" + ids + "-02",
		"00-" + ids + "-ff":         "00-" + ids + "-03", // reserved bits are not sent on
		"01-" + ids + "-01":         "00-" + ids + "-01", // a higher version, read as ours
		"cc-" + ids + "-01-and-so":  "00-" + ids + "-01",
		"cc-" + ids + "-01-":        "00-" + ids + "-01",
		"cc-" + ids + "-01.what":    "",
		"cc-" + ids + "-0":          "",
		"00-" + ids + "-01-":        "",
		"00-" + ids + "-01-more":    "",
		"00-" + ids + "-1":          "",
		"00-" + ids + "-":           "",
		"00-" + ids + "-0G":         "",
		"ff-" + ids + "-01":         "",
		"0-" + ids + "-01":          "",
		"FE-" + ids + "-01":         "",
		" " + parent:                "",
		parent + " ":                "",
		strings.ToUpper(parent):     "",
		"00_" + ids + "-01":         "",
		"00-" + traceID + "-01":     "",
		"":                          "",
		"00":                        "",
		"00-" + traceID[1:] + "0-0": "",
		"00-" + traceID[:31] + "g-" + spanID + "-01":              "",
		"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01":    "",
		"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01":   "",
		"00-" + traceID[:30] + "-" + spanID + "00" + "-01":        "",
		"00-" + traceID + spanID + "--01":                         "",
		"00-" + traceID + "-" + spanID + "\x0001":                 "",
		"00-" + strings.Repeat("é", 16) + "-" + spanID + "-01":    "",
		"00-" + traceID + "-" + spanID + "-01, " + parent:         "",
		"zz-" + traceID + "-" + spanID + "-01":                    "",
		"00-" + traceID + "-" + strings.ToUpper(spanID) + "-01":   "",
		"00-0x" + traceID[2:] + "-" + spanID + "-01":              "",
		"00-" + traceID + "-" + spanID + "-01" + "\n":             "",
		"00-" + traceID + "-" + " " + spanID[1:] + "-01":          "",
		"00-" + traceID + "-" + "+" + spanID[1:] + "-01":          "",
		"00-" + traceID + "-" + spanID[:8] + "-" + spanID[8:]:     "",
		"00-" + traceID + "-" + spanID[:15] + "/" + "-01":         "",
		"00-" + traceID + "-" + spanID[:15] + ":" + "-01":         "",
		"00-" + traceID + "-" + spanID[:15] + "`" + "-01":         "",
		"00-00000000000000000000000000000001-0000000000000001-00": "00-00000000000000000000000000000001-0000000000000001-00",
	} {
		got, err := trace.Parse(header, "a=b")
		if want == "" {
			if !errors.Is(err, trace.ErrTraceparent) || got != (trace.Context{}) {
				t.Errorf("%q: %v, %v, want it refused", header, got, err)
			}
			continue
		}
		if err != nil || got.String() != want || got.State != "a=b" || !got.IsValid() {
			t.Errorf("%q: %q, %v, want %q", header, got, err, want)
		}
	}
}

func TestTracestate(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "k%d=v,", i)
		}
		return b.String()
	}
	long := strings.Repeat("x", 256)
	for _, test := range []struct {
		name    string
		headers []string
		want    string
	}{
		{"none", nil, ""},
		{"empty", []string{"", " , "}, ""},
		{"one", []string{"rojo=00f067aa0ba902b7"}, "rojo=00f067aa0ba902b7"},
		{"spaces", []string{" a=1 ,\tb=2\t,,c= x y"}, "a=1,b=2,c= x y"},
		{"several headers in order", []string{"a=1", "b=2,c=3"}, "a=1,b=2,c=3"},
		{"tenant and digit first", []string{"fw529a3039@dt=x,0a_-*/@b=y"}, "fw529a3039@dt=x,0a_-*/@b=y"},
		{"twice", []string{"a=1,b=2", "a=3"}, ""},
		{"no value", []string{"a=1,b="}, ""},
		{"no equals", []string{"a=1,b"}, ""},
		{"two equals", []string{"a=1=2"}, ""},
		{"no key", []string{"=1"}, ""},
		{"upper case", []string{"A=1"}, ""},
		{"bad first letter", []string{"_a=1"}, ""},
		{"space in key", []string{"a b=1"}, ""},
		{"control", []string{"a=\x01"}, ""},
		{"not ASCII", []string{"a=é"}, ""},
		{"line break", []string{"a=1\r\nx: y"}, ""},
		{"32", []string{many(32)}, strings.TrimSuffix(many(32), ",")},
		{"33", []string{many(33)}, ""},
		{"long key", []string{long + "=1"}, long + "=1"},
		{"too long a key", []string{long + "x=1"}, ""},
		{"long value", []string{"a=" + long}, "a=" + long},
		{"too long a value", []string{"a=" + long + "x"}, ""},
		{"large ones go first", []string{"a=1,b=" + long + ",c=3,d=" + long + ",e=5"}, "a=1,b=" + long + ",c=3,e=5"},
		{
			"then the end",
			[]string{"a=" + long[:100] + ",b=" + long[:100] + ",c=" + long[:100] + ",d=" + long[:100] + ",e=" + long[:100] + ",f=1"},
			"a=" + long[:100] + ",b=" + long[:100] + ",c=" + long[:100] + ",d=" + long[:100],
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := trace.Parse(parent, test.headers...)
			if err != nil || c.State != test.want || c.String() != parent {
				t.Errorf("%q, %v\nwant %q", c.State, err, test.want)
			}
		})
	}
}

func TestNewAndChild(t *testing.T) {
	t.Parallel()
	seen := map[trace.SpanID]bool{}
	for range 1000 {
		c := trace.New(true)
		child := c.Child()
		if !c.IsValid() || !c.IsSampled() || c.Flags != trace.Sampled|trace.Random || seen[c.Span] || seen[child.Span] {
			t.Fatalf("%v, %v", c, child)
		}
		seen[c.Span], seen[child.Span] = true, true
		want := c
		want.Span = child.Span
		if child != want || c.Trace.String() != c.String()[3:35] || c.Span.String() != c.String()[36:52] {
			t.Fatalf("%v, %v", c, child)
		}
	}
	if c := trace.New(false); c.IsSampled() || c.Flags != trace.Random {
		t.Errorf("%v", c)
	}
	var none trace.Context
	if none.IsValid() || none.Child() != none || none.String() != "" {
		t.Errorf("no trace: %v, %q", none.Child(), none)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	c, err := trace.Parse(parent, "a=1")
	if err != nil {
		t.Fatal(err)
	}
	if got := trace.From(trace.With(t.Context(), c)); got != c {
		t.Errorf("%v", got)
	}
	if got := trace.From(t.Context()); got.IsValid() {
		t.Errorf("%v out of nothing", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(parent, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "")
	f.Add("cc-"+parent[3:]+"-what", " a=1 ,, b=2", "c= x")
	f.Add("00-"+strings.Repeat("0", 32)+"-"+spanID+"-01", "", "=")
	f.Fuzz(func(t *testing.T, traceparent, first, second string) {
		c, err := trace.Parse(traceparent, first, second)
		if err != nil {
			if c != (trace.Context{}) || !errors.Is(err, trace.ErrTraceparent) {
				t.Errorf("%v with %v", c, err)
			}
			return
		}
		if !c.IsValid() || len(c.State) > 512 || strings.ContainsAny(c.State, "\r\n\x00") || c.String()[3:53] != traceparent[3:53] {
			t.Errorf("%q became %q, %q", traceparent, c, c.State)
		}
		if again, err := trace.Parse(c.String(), c.State); err != nil || again != c {
			t.Errorf("%v, read again as %v, %v", c, again, err)
		}
	})
}

func Example() {
	// What a client sent goes into the handler's context ...
	in, err := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "rojo=00f067aa0ba902b7")
	if err != nil {
		in = trace.New(false)
	}
	ctx := trace.With(context.Background(), in)
	// ... and leaves with what the handler sends.
	out := trace.From(ctx).Child()
	fmt.Println(out.Trace, out.IsSampled(), out.State, out.Span != in.Span)
	// Output: 0af7651916cd43dd8448eb211c80319c true rojo=00f067aa0ba902b7 true
}

func BenchmarkTrace(b *testing.B) {
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := trace.Parse(parent); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("child and append", func(b *testing.B) {
		c := trace.New(true)
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			buf = c.Child().Append(buf[:0])
		}
	})
}
