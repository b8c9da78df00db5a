// Package prom writes the Prometheus text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
//
// A [Page] collects samples in any order and from any number of parts of a program, and writes them grouped by metric
// and sorted, so that two scrapes of one state are the same bytes.
package prom

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ContentType is the media type of a page.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Label is one dimension of a sample.
type Label struct{ Name, Value string }

// L is a Label.
func L(name, value string) Label { return Label{name, value} }

// Histogram is what [Page.Histogram] takes.
type Histogram struct {
	Bounds     []float64 // upper bounds, ascending, without +Inf
	Cumulative []uint64  // for each bound the observations up to it
	Count      uint64    // all observations
	Sum        float64
}

// Page collects one scrape. The zero value is empty; it is for one goroutine. A sample that the format cannot hold (a
// bad name, a sample given twice, a metric of two types) is left out, and [Page.Append] reports it.
type Page struct {
	families map[string]*family
	errs     []error
}

// family is one metric: all lines of it must stand together.
type family struct {
	name, help, kind string
	samples          []sample
}

type sample struct {
	labels string // as written, without braces
	value  float64
	hist   *Histogram
}

// Counter adds a value that only rises; by convention, which is enforced, its name ends in _total.
func (p *Page) Counter(name, help string, value float64, labels ...Label) {
	if !strings.HasSuffix(name, "_total") {
		p.refuse("counter %q: its name must end in _total", name)
		return
	}
	if value < 0 || math.IsNaN(value) {
		p.refuse("counter %q: %v: allowed is 0 or more", name, value)
		return
	}
	p.add("counter", name, help, sample{value: value}, labels)
}

// Gauge adds a value that rises and falls.
func (p *Page) Gauge(name, help string, value float64, labels ...Label) {
	p.add("gauge", name, help, sample{value: value}, labels)
}

// Histogram adds a distribution. The Page keeps h's slices until it is written.
func (p *Page) Histogram(name, help string, h Histogram, labels ...Label) {
	if err := h.check(); err != nil {
		p.refuse("histogram %q: %w", name, err)
		return
	}
	p.add("histogram", name, help, sample{hist: &h}, labels)
}

func (h *Histogram) check() error {
	if len(h.Bounds) != len(h.Cumulative) {
		return fmt.Errorf("%d bounds but %d counts", len(h.Bounds), len(h.Cumulative))
	}
	for i, bound := range h.Bounds {
		if math.IsNaN(bound) || math.IsInf(bound, 0) || i > 0 && bound <= h.Bounds[i-1] {
			return fmt.Errorf("bound %v: allowed are finite ones in ascending order", bound)
		}
	}
	if !slices.IsSorted(h.Cumulative) || len(h.Cumulative) > 0 && h.Cumulative[len(h.Cumulative)-1] > h.Count {
		return fmt.Errorf("counts %v of %d do not add up", h.Cumulative, h.Count)
	}
	return nil
}

func (p *Page) refuse(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("prom: "+format, args...))
}

func (p *Page) add(kind, name, help string, s sample, labels []Label) {
	text, err := writeLabels(labels, kind)
	if err != nil || !isName(name, true) {
		p.refuse("%s %q: %w", kind, name, cmp.Or(err, errName))
		return
	}
	f := p.families[name]
	if f == nil {
		f = &family{name: name, help: help, kind: kind}
		if p.families == nil {
			p.families = make(map[string]*family)
		}
		p.families[name] = f
	}
	if f.kind != kind {
		p.refuse("%s %q is a %s already", kind, name, f.kind)
		return
	}
	s.labels = text
	f.samples = append(f.samples, s)
}

var errName = errors.New("name: want letters, digits and underscores, no digit first")

// isName reports whether s may name a metric, in which colons are allowed, or a label.
func isName(s string, metric bool) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || metric && c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && (metric || !strings.HasPrefix(s, "__"))
}

// escapeValue and escapeHelp are the format's own two rules: only these characters are escaped.
var (
	escapeValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// writeLabels writes labels sorted by name, so that equal sets are equal text.
func writeLabels(labels []Label, kind string) (string, error) {
	sorted := slices.SortedFunc(slices.Values(labels), func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	var b strings.Builder
	for i, l := range sorted {
		if !isName(l.Name, false) || l.Name == "le" && kind == "histogram" {
			return "", fmt.Errorf("label %q: %w", l.Name, errName)
		}
		if i > 0 {
			if l.Name == sorted[i-1].Name {
				return "", fmt.Errorf("label %q stands twice", l.Name)
			}
			b.WriteByte(',')
		}
		b.WriteString(l.Name + `="` + escapeValue.Replace(strings.ToValidUTF8(l.Value, "\uFFFD")) + `"`)
	}
	return b.String(), nil
}

// Append writes the page to dst and returns the longer slice. The error joins every sample that was left out; what is
// written is valid all the same.
func (p *Page) Append(dst []byte) ([]byte, error) {
	errs := slices.Clone(p.errs)
	for _, name := range slices.Sorted(maps.Keys(p.families)) {
		f := p.families[name]
		if h := p.shadow(name); h != "" {
			errs = append(errs, fmt.Errorf("prom: %s %q is a line of histogram %q", f.kind, name, h))
			continue
		}
		dst = append(dst, "# HELP "+name+" "+escapeHelp.Replace(strings.ToValidUTF8(f.help, "\uFFFD"))+"\n"...)
		dst = append(dst, "# TYPE "+name+" "+f.kind+"\n"...)
		slices.SortStableFunc(f.samples, func(a, b sample) int { return cmp.Compare(a.labels, b.labels) })
		for i, s := range f.samples {
			if i > 0 && s.labels == f.samples[i-1].labels {
				errs = append(errs, fmt.Errorf("prom: %s %s{%s} was given twice", f.kind, name, s.labels))
				continue
			}
			dst = f.append(dst, s)
		}
	}
	return dst, errors.Join(errs...)
}

// shadow names the histogram among whose lines a metric of this name would stand.
func (p *Page) shadow(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			if f := p.families[base]; f != nil && f.kind == "histogram" {
				return base
			}
		}
	}
	return ""
}

func (f *family) append(dst []byte, s sample) []byte {
	if s.hist == nil {
		return appendLine(dst, f.name, "", s.labels, "", s.value)
	}
	for i, bound := range s.hist.Bounds {
		dst = appendLine(dst, f.name, "_bucket", s.labels, string(appendValue(nil, bound)), float64(s.hist.Cumulative[i]))
	}
	dst = appendLine(dst, f.name, "_bucket", s.labels, "+Inf", float64(s.hist.Count))
	dst = appendLine(dst, f.name, "_sum", s.labels, "", s.hist.Sum)
	return appendLine(dst, f.name, "_count", s.labels, "", float64(s.hist.Count))
}

func appendLine(dst []byte, name, suffix, labels, le string, value float64) []byte {
	dst = append(append(dst, name...), suffix...)
	if labels != "" || le != "" {
		dst = append(append(dst, '{'), labels...)
		if le != "" {
			if labels != "" {
				dst = append(dst, ',')
			}
			dst = append(dst, `le="`+le+`"`...)
		}
		dst = append(dst, '}')
	}
	return append(appendValue(append(dst, ' '), value), '\n')
}

// appendValue writes whole numbers as such; the format's NaN, +Inf and -Inf are strconv's.
func appendValue(dst []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// WriteTo writes the page to w in one piece. The error is w's, else that of [Page.Append].
func (p *Page) WriteTo(w io.Writer) (int64, error) {
	page, err := p.Append(nil)
	n, writeErr := io.Copy(w, bytes.NewReader(page))
	return n, cmp.Or(writeErr, err)
}
