package prom_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/prom"
)

func TestPage(t *testing.T) {
	t.Parallel()
	var p prom.Page
	p.Gauge("comm_connections", "Open connections.", 3, prom.L("provider", "ws"))
	p.Histogram("comm_handler_seconds", "Time in handlers.", prom.Histogram{
		Bounds: []float64{.001, .5, 2}, Cumulative: []uint64{1, 2, 2}, Count: 4, Sum: 7.25,
	}, prom.L("type", "chat"))
	p.Counter("comm_messages_total", "Messages.", 1e6, prom.L("provider", "ws"), prom.L("direction", "in"))
	p.Gauge("comm_connections", "ignored: the first help stands", -1.5, prom.L("provider", "sse"))
	p.Gauge("comm_values", `Back\slash`+"\nand line.", math.Inf(1), prom.L("b", "quo\"te"), prom.L("a", "back\\slash\nline\xff"))
	p.Gauge("comm_nan", "", math.NaN())
	const want = `# HELP comm_connections Open connections.
# TYPE comm_connections gauge
comm_connections{provider="sse"} -1.5
comm_connections{provider="ws"} 3
# HELP comm_handler_seconds Time in handlers.
# TYPE comm_handler_seconds histogram
comm_handler_seconds_bucket{type="chat",le="0.001"} 1
comm_handler_seconds_bucket{type="chat",le="0.5"} 2
comm_handler_seconds_bucket{type="chat",le="2"} 2
comm_handler_seconds_bucket{type="chat",le="+Inf"} 4
comm_handler_seconds_sum{type="chat"} 7.25
comm_handler_seconds_count{type="chat"} 4
# HELP comm_messages_total Messages.
# TYPE comm_messages_total counter
comm_messages_total{direction="in",provider="ws"} 1000000
# HELP comm_nan 
# TYPE comm_nan gauge
comm_nan NaN
# HELP comm_values Back\\slash\nand line.
# TYPE comm_values gauge
comm_values{a="back\\slash\nline` + "\uFFFD" + `",b="quo\"te"} +Inf
`
	got, err := p.Append([]byte("head"))
	if err != nil || string(got) != "head"+want {
		t.Errorf("%v\n%s", err, got)
	}
	var b bytes.Buffer
	if n, err := p.WriteTo(&b); err != nil || n != int64(len(want)) || b.String() != want {
		t.Errorf("%d, %v\n%s", n, err, b.String())
	}
	if samples := parse(t, b.String()); len(samples) != 11 {
		t.Errorf("%d samples", len(samples))
	}
	if page, err := new(prom.Page).Append(nil); err != nil || len(page) != 0 {
		t.Errorf("empty page: %q, %v", page, err)
	}
}

// What the format cannot hold is reported and left out; the rest of the page stays valid.
func TestRefusals(t *testing.T) {
	t.Parallel()
	one := prom.Histogram{Bounds: []float64{1}, Cumulative: []uint64{1}, Count: 1}
	for name, add := range map[string]func(*prom.Page){
		`name: want letters`:            func(p *prom.Page) { p.Gauge("9lives", "", 1) },
		`gauge "": name`:                func(p *prom.Page) { p.Gauge("", "", 1) },
		`gauge "a\nb": name`:            func(p *prom.Page) { p.Gauge("a\nb", "", 1) },
		`must end in _total`:            func(p *prom.Page) { p.Counter("requests", "", 1) },
		`-1: allowed is 0 or more`:      func(p *prom.Page) { p.Counter("a_total", "", -1) },
		`label "a:b"`:                   func(p *prom.Page) { p.Gauge("a", "", 1, prom.L("a:b", "")) },
		`label "__a"`:                   func(p *prom.Page) { p.Gauge("a", "", 1, prom.L("__a", "")) },
		`label "x" stands twice`:        func(p *prom.Page) { p.Gauge("a", "", 1, prom.L("x", "1"), prom.L("x", "2")) },
		`label "le"`:                    func(p *prom.Page) { p.Histogram("a", "", one, prom.L("le", "1")) },
		`given twice`:                   func(p *prom.Page) { p.Gauge("ok", "", 1, prom.L("x", "1")); p.Gauge("ok", "", 2, prom.L("x", "1")) },
		`is a gauge already`:            func(p *prom.Page) { p.Histogram("ok", "", one) },
		`is a line of histogram "hist"`: func(p *prom.Page) { p.Histogram("hist", "", one); p.Gauge("hist_count", "", 1) },
		`1 bounds but 0 counts`:         func(p *prom.Page) { p.Histogram("a", "", prom.Histogram{Bounds: []float64{1}}) },
		`ascending order`: func(p *prom.Page) {
			p.Histogram("a", "", prom.Histogram{Bounds: []float64{2, 1}, Cumulative: []uint64{0, 0}})
		},
		`bound +Inf`: func(p *prom.Page) {
			p.Histogram("a", "", prom.Histogram{Bounds: []float64{math.Inf(1)}, Cumulative: []uint64{0}})
		},
		`do not add up`: func(p *prom.Page) {
			p.Histogram("a", "", prom.Histogram{Bounds: []float64{1}, Cumulative: []uint64{2}, Count: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p prom.Page
			p.Gauge("ok", "Fine.", 1)
			add(&p)
			page, err := p.Append(nil)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
			if samples := parse(t, string(page)); samples["ok"] != 1 {
				t.Errorf("the good sample is gone:\n%s", page)
			}
		})
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("broken pipe")

func TestWriteToReportsTheWriter(t *testing.T) {
	t.Parallel()
	var p prom.Page
	p.Gauge("a", "", 1)
	if _, err := p.WriteTo(broken{}); !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
}

func TestRuntime(t *testing.T) {
	t.Parallel()
	runtime.GC()
	var p prom.Page
	p.Runtime()
	page, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	samples := parse(t, string(page))
	for _, name := range []string{
		"go_goroutines", "go_memstats_heap_alloc_bytes", "go_memstats_heap_objects", "go_memstats_sys_bytes",
		"go_sched_gomaxprocs_threads", "go_gc_cycles_total", "go_memstats_alloc_bytes_total", "go_gc_pauses_seconds_count",
		`go_info{version="` + runtime.Version() + `"}`,
	} {
		if samples[name] <= 0 {
			t.Errorf("%s is %v", name, samples[name])
		}
	}
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*",?)*)\})? (\S+)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$`)
)

// parse reads a page by the format's rules, written apart from the writer, and fails on every breach: TYPE before
// samples, one block a metric, no sample twice, buckets that rise to +Inf and agree with _count.
func parse(t *testing.T, page string) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	seen := map[string]bool{}
	var name, kind, help string
	last, inf := -1.0, false
	if page != "" && !strings.HasSuffix(page, "\n") {
		t.Errorf("the last line has no end")
	}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			help, _, _ = strings.Cut(rest, " ")
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if name, kind = m[1], m[2]; seen[name] || help != name {
				t.Errorf("%q: second block, or HELP of %q", line, help)
			}
			seen[name] = true
			last, inf = -1, false
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("not a line of the format: %q", line)
			continue
		}
		value, err := strconv.ParseFloat(m[4], 64)
		key := strings.TrimSuffix(line, " "+m[4])
		if _, twice := samples[key]; err != nil || twice {
			t.Errorf("%q: %v, twice %v", line, err, twice)
		}
		samples[key] = value
		suffix, ok := strings.CutPrefix(m[1], name)
		if !ok || kind != "histogram" && suffix != "" {
			t.Errorf("%q stands in the block of %s %q", line, kind, name)
		}
		switch {
		case kind == "histogram" && suffix == "_bucket":
			if value < last {
				t.Errorf("%q: buckets fall", line)
			}
			last, inf = value, strings.HasSuffix(m[3], `le="+Inf"`)
		case kind == "histogram" && suffix == "_count":
			if !inf || value != last {
				t.Errorf("%q: last bucket %v, is +Inf %v", line, last, inf)
			}
			last, inf = -1, false
		}
	}
	return samples
}

func ExamplePage() {
	var p prom.Page
	p.Counter("comm_messages_total", "Messages by direction.", 12, prom.L("direction", "out"))
	p.Counter("comm_messages_total", "Messages by direction.", 7, prom.L("direction", "in"))
	if _, err := p.WriteTo(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// # HELP comm_messages_total Messages by direction.
	// # TYPE comm_messages_total counter
	// comm_messages_total{direction="in"} 7
	// comm_messages_total{direction="out"} 12
}

func BenchmarkPage(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var p prom.Page
		for _, provider := range []string{"http", "websocket", "sse"} {
			for i := range 10 {
				p.Counter("comm_messages_"+strconv.Itoa(i)+"_total", "Messages.", 1, prom.L("provider", provider))
			}
		}
		buf, _ = p.Append(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
