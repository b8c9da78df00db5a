package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

var (
	liveColumn   = column{"live", "live heap", "%.0f", true}
	stacksColumn = column{"stacks", "stacks", "%.0f", true}
	goColumn     = column{"goroutines", "goroutines", "%.1f", true}
	heldColumn   = column{"rss", "RSS", "%.0f", true}
	kernelColumn = column{"kernel", "kernel", "%.0f", true}
	holdColumns  = []column{goColumn, liveColumn, stacksColumn, heldColumn, kernelColumn}
)

// report measures all that was chosen, and says it in Markdown.
func (h holding) report() (string, error) {
	var b strings.Builder
	cert, key, err := certificate()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "%s, %s/%s, Linux %s. Bytes are of one connection.\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, kernelRelease())
	fmt.Fprint(&b, "| carrier | held |")
	for _, c := range holdColumns {
		fmt.Fprintf(&b, " %s |", c.title)
	}
	fmt.Fprintf(&b, " 100,000 | 1,000,000 |\n|---|---:|%s---:|---:|\n", strings.Repeat("---:|", len(holdColumns)))
	measured := map[string]metrics{}
	for _, c := range carriages {
		if !selected(h.carriers, c.name, false) {
			continue
		}
		s := h.holdSpec(c)
		s.Cert, s.Key = cert, key
		m, err := hold(s, h.n*max(1, c.times))
		progress(c.title, m, err)
		if err != nil {
			return "", fmt.Errorf("%s: %w", c.name, err)
		}
		measured[c.name] = m
		printCarriage(&b, c, m)
	}
	if len(measured) == 0 {
		return "", fmt.Errorf("no carrier is named %q; -h lists them", h.carriers)
	}
	if h.parts {
		err = h.reportMore(&b, measured, cert, key)
	}
	return b.String(), err
}

func printCarriage(b *strings.Builder, c carriage, m metrics) {
	fmt.Fprintf(b, "| %s | %s |", c.title, grouped(m["n"]))
	for _, col := range holdColumns {
		if col.metric == goColumn.metric {
			fmt.Fprintf(b, " %.2g |", m[col.metric])
			continue
		}
		fmt.Fprintf(b, " %s |", grouped(m[col.metric]))
	}
	each := m["rss"] + m["kernel"]
	fmt.Fprintf(b, " %s | %s |\n", size(each*1e5), size(each*1e6))
}

// reportMore is the other tables: they are about the hub.
func (h holding) reportMore(b *strings.Builder, measured map[string]metrics, cert, key string) error {
	if m := measured["hub"]; m != nil {
		s := h.holdSpec(carriageNamed("hub"))
		s.Cert, s.Key = cert, key
		if err := h.reportCollections(b, s, m); err != nil {
			return err
		}
	}
	costs, err := h.reportParts(b)
	if err != nil {
		return err
	}
	sent, err := h.stalled(cert, key)
	if err != nil {
		return fmt.Errorf("clients that stop reading: %w", err)
	}
	fmt.Fprintf(b, "| kernel: what is on its way to a client that has stopped reading | %s | `net.ipv4.tcp_wmem`, whose last number is %s here |\n",
		grouped(sent), lastField("/proc/sys/net/ipv4/tcp_wmem"))
	if m := measured["hubtls"]; m != nil {
		printExample(b, m, costs)
	}
	return nil
}

// stalledCount is how many clients stop reading: their buffers are large.
const stalledCount = 50

func (h holding) stalled(cert, key string) (float64, error) {
	s := h.holdSpec(carriageNamed("hub"))
	s.Cert, s.Key, s.Stalled, s.Groups = cert, key, true, 1
	n := stalledCount
	if h.small {
		n = 5
	}
	m, err := hold(s, n)
	return m["sent"], err
}

// lastField is the last word of a file, with commas.
func lastField(file string) string {
	doc, _ := os.ReadFile(file) // only for people
	f := strings.Fields(string(doc))
	if len(f) == 0 {
		return "unknown"
	}
	n, _ := strconv.ParseFloat(f[len(f)-1], 64)
	return grouped(n)
}

func carriageNamed(name string) carriage {
	for _, c := range carriages {
		if c.name == name {
			return c
		}
	}
	return carriage{}
}

func (h holding) reportCollections(b *strings.Builder, s spec, m metrics) error {
	fmt.Fprint(b, "\n| WebSocket in the hub | RSS | of what is live |\n|---|---:|---:|\n")
	live := m["live"] + m["stacks"]
	for _, c := range collections {
		s.GC = c.gc
		if s.MemLimit = 0; c.limit > 0 {
			s.MemLimit = int64(m["base"] + c.limit*live*min(m["n"], float64(filesAllowed()-spareFiles)))
		}
		got, err := hold(s, h.n)
		progress(c.title, got, err)
		if err != nil {
			return fmt.Errorf("%s: %w", c.title, err)
		}
		fmt.Fprintf(b, "| %s | %s | %.2f |\n", c.title, grouped(got["rss"]), got["rss"]/live)
	}
	return nil
}

func (h holding) reportParts(b *strings.Builder) (costs []float64, err error) {
	n := partCount
	if h.small {
		n = 200
	}
	fmt.Fprint(b, "\n| in the hub | bytes | bounded by |\n|---|---:|---|\n")
	for _, p := range hubParts {
		v, err := p.measure(n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		costs = append(costs, v)
		fmt.Fprintf(b, "| %s | %s | %s |\n", p.name, grouped(v), p.bounds)
	}
	return costs, nil
}

// grouped writes a number with commas.
func grouped(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes bytes as MB or GB, of powers of ten as in the table's counts.
func size(v float64) string {
	if v < 1e9 {
		return fmt.Sprintf("%.0f MB", v/1e6)
	}
	return fmt.Sprintf("%.1f GB", v/1e9)
}

func kernelRelease() string {
	doc, _ := os.ReadFile("/proc/sys/kernel/osrelease") // only for people
	major, rest, _ := strings.Cut(strings.TrimSpace(string(doc)), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return major + "." + minor
}

// The lines between which a page holds what was measured.
const (
	measuredBegin = "<!-- measured: begin -->\n"
	measuredEnd   = "<!-- measured: end -->\n"
)

// replaceMeasured puts text into the measured part of a page.
func replaceMeasured(name, text string) error {
	page, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(page, []byte(measuredBegin))
	_, tail, ok2 := bytes.Cut(rest, []byte(measuredEnd))
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", name, measuredBegin, measuredEnd)
	}
	return os.WriteFile(name, []byte(string(head)+measuredBegin+"\n"+text+"\n"+measuredEnd+string(tail)), 0o644)
}
