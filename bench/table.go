package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

func printHead(w io.Writer, o options) {
	fmt.Fprintf(w, "# comm beside its rivals\n\n%s, %s/%s, %d CPUs (%s), GOMAXPROCS %d for every server and client. ",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuModel(), o.procs)
	fmt.Fprintf(w, "%d alternated runs each: the median, with the lowest and highest in brackets.\n\n", o.runs)
}

func cpuModel() string {
	doc, _ := os.ReadFile("/proc/cpuinfo") // only for people
	for line := range strings.Lines(string(doc)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return "unknown CPU"
}

// printRow prints one row as a table of its own.
func printRow(w io.Writer, r row, results []*result) {
	fmt.Fprintf(w, "## %s: %s\n\n", r.name, r.title)
	if len(results) == 0 {
		fmt.Fprint(w, "Nothing that was chosen does this.\n\n")
		return
	}
	fmt.Fprint(w, "| |")
	for _, c := range r.columns {
		fmt.Fprintf(w, " %s |", c.title)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", len(r.columns)))
	for _, res := range results {
		printResult(w, r, res)
	}
	fmt.Fprintln(w)
	for _, res := range results {
		for _, f := range res.failed {
			fmt.Fprintf(w, "- **%s failed**: %s\n", res.subject.Name(), f)
		}
	}
	if v := verdict(r, results); v != "" {
		fmt.Fprintf(w, "%s\n", v)
	}
	fmt.Fprintln(w)
}

func printResult(w io.Writer, r row, res *result) {
	fmt.Fprintf(w, "| %s %s |", res.subject.Name(), version(res.subject.Module()))
	for _, c := range r.columns {
		v := res.values(c.metric)
		switch {
		case len(v) == 0 && len(res.failed) > 0:
			fmt.Fprint(w, " failed |")
		case res.never:
			fmt.Fprint(w, " n/a |")
		case len(v) == 0:
			fmt.Fprint(w, " |")
		case len(v) == 1:
			fmt.Fprintf(w, " "+c.format+" |", v[0])
		default:
			fmt.Fprintf(w, " "+c.format+" ("+c.format+"-"+c.format+") |", median(v), v[0], v[len(v)-1])
		}
	}
	fmt.Fprintln(w)
}

// oursPrefix begins the names of the subjects that are comm.
const oursPrefix = "comm"

func ours(s subject) bool { return strings.HasPrefix(s.Name(), oursPrefix) }

// verdict compares comm with the row's targets.
func verdict(r row, results []*result) string {
	var lines []string
	for _, t := range append([]target{r.target}, r.also...) {
		if v := t.verdict(r.column(t.metric), results); v != "" {
			lines = append(lines, v)
		}
	}
	return strings.Join(lines, "\n\n")
}

// column is the one of a metric, "" the first.
func (r row) column(metric string) column {
	i := slices.IndexFunc(r.columns, func(c column) bool { return c.metric == metric })
	return r.columns[max(i, 0)]
}

func (t target) verdict(c column, results []*result) string {
	own, best := t.contenders(c, results)
	if own == nil {
		return ""
	}
	have := median(own.values(c.metric))
	what := ""
	if t.metric != "" {
		what = " " + c.title
	}
	switch {
	case t.zero:
		return fmt.Sprintf("Target: 0%s. comm has "+c.format+": %s.", what, have, met(have < 0.0005, 0))
	case t.absolute > 0:
		return fmt.Sprintf("Target: at most "+c.format+"%s. comm has "+c.format+": %s.", t.absolute, what, have, met(have <= t.absolute, t.absolute/have))
	case best == nil:
		return ""
	}
	ratio := have / median(best.values(c.metric))
	if t.ratio == 0 {
		return fmt.Sprintf("No target. comm has %.2f x %s.", ratio, best.subject.Name())
	}
	share, word := ratio/t.ratio, "at least"
	if c.lower {
		share, word = 1/share, "at most"
	}
	return fmt.Sprintf("Target: %s %.2f x %s. comm has %.2f x: %s.", word, t.ratio, best.subject.Name(), ratio, met(share >= 1, share))
}

// contenders are comm and the best of the rivals that the target is about.
func (t target) contenders(c column, results []*result) (own, best *result) {
	for _, res := range results {
		switch name := res.subject.Name(); {
		case len(res.values(c.metric)) == 0:
		case name == oursPrefix:
			own = res
		case ours(res.subject), t.among != nil && !slices.Contains(t.among, name):
		case best == nil || better(c, res, best):
			best = res
		}
	}
	return own, best
}

func better(c column, a, b *result) bool {
	x, y := median(a.values(c.metric)), median(b.values(c.metric))
	if c.lower {
		return x < y
	}
	return x > y
}

func met(ok bool, share float64) string {
	switch {
	case ok:
		return "**met**"
	case share == 0:
		return "**not met**"
	}
	return fmt.Sprintf("**not met**, %.0f %% of it", share*100)
}

// printSubjects says how each implementation was run.
func printSubjects(w io.Writer, o options) {
	fmt.Fprint(w, "## How each was run\n\n| | version | configuration |\n|---|---|---|\n")
	for _, s := range subjects {
		if selected(o.impl, s.Name(), false) {
			fmt.Fprintf(w, "| %s | %s %s | %s |\n", s.Name(), s.Module(), version(s.Module()), s.Config())
		}
	}
	for _, line := range absent {
		fmt.Fprintf(w, "\n%s\n", line)
	}
}

// absent are rivals that are not here, and why.
var absent = []string{
	"Mercure is not measured yet.",
	"gobwas-epoll stands for gobwas/ws with its netpoll (mailru/easygo): the same one-shot epoll, written out here.",
}
