package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// result is all runs of one subject in one row.
type result struct {
	subject subject
	runs    []metrics
	failed  []string // what went wrong, once for each run that failed
	never   bool     // the subject does not support this
}

// runRows runs the rows that the options choose and prints the table.
func runRows(out io.Writer, o options) error {
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	cert, key, err := certificate()
	if err != nil {
		return err
	}
	printHead(out, o)
	var failed error
	for _, r := range chosen {
		r.spec.Row, r.spec.Cert, r.spec.Key, r.spec.Procs = r.name, cert, key, o.procs
		if r.spec.Measure == 0 {
			r.spec.Measure = o.measure
		}
		if r.spec.Rate == 0 {
			r.spec.Rate = o.rate
		}
		if o.small {
			shrink(&r.spec)
		}
		results := runRow(r, o)
		printRow(out, r, results)
		for _, res := range results {
			if len(res.failed) > 0 {
				failed = errors.Join(failed, fmt.Errorf("%s, %s: %s", r.name, res.subject.Name(), res.failed[0]))
			}
		}
	}
	printSubjects(out, o)
	return failed
}

// runRow runs every subject in turn, and that as often as the options say.
func runRow(r row, o options) []*result {
	var results []*result
	for _, s := range subjects {
		if r.can(s) && selected(o.impl, s.Name(), false) {
			results = append(results, &result{subject: s})
		}
	}
	if r.spec.Share > 0 && r.spec.Rate == 0 {
		r.spec.Rate = commonRate(r, results)
	}
	for n := range o.runs {
		for _, res := range results {
			if res.never {
				continue
			}
			s := r.spec
			s.Subject = res.subject.Name()
			if o.profile != "" && n == 0 {
				s.Profile, _ = filepath.Abs(filepath.Join(o.profile, r.name+"-"+s.Subject+".pprof"))
			}
			m, err := measure(s)
			res.add(m, err)
			if !o.quiet {
				fmt.Fprintln(os.Stderr, r.name, n+1, s.Subject, brief(r, m), errText(err))
			}
		}
	}
	return results
}

// measure is one run.
func measure(s spec) (metrics, error) {
	if s.Share > 0 && s.Rate == 0 {
		return nil, errors.New("no implementation to take the rate from")
	}
	return runOnce(s)
}

// commonRate is the rate of a paced row, the same for all: a share of what saturates the best rival or,
// where comm runs alone, comm.
func commonRate(r row, results []*result) float64 {
	s := r.spec
	s.Scenario, s.Profile = "broadcast", ""
	best, own := 0.0, 0.0
	for _, res := range results {
		s.Subject = res.subject.Name()
		m, err := runOnce(s)
		switch {
		case err != nil: // its own run will say so
		case strings.HasPrefix(s.Subject, "comm"):
			own = max(own, m["rate"])
		default:
			best = max(best, m["rate"])
		}
	}
	return cmp.Or(best, own) * s.Share / float64(max(1, s.Conns/max(1, s.Groups)))
}

func (r *result) add(m metrics, err error) {
	if err != nil && strings.Contains(err.Error(), errUnsupported.Error()) {
		r.never = true
		return
	}
	if err != nil {
		r.failed = append(r.failed, err.Error())
		return
	}
	r.runs = append(r.runs, m)
}

// values are one metric of all runs, sorted.
func (r *result) values(metric string) []float64 {
	var v []float64
	for _, m := range r.runs {
		if x, ok := m[metric]; ok {
			v = append(v, x)
		}
	}
	slices.Sort(v)
	return v
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func brief(r row, m metrics) string {
	var b strings.Builder
	for _, c := range r.columns {
		if v, ok := m[c.metric]; ok {
			fmt.Fprintf(&b, "%s "+c.format+"  ", c.metric, v)
		}
	}
	if v, ok := m["others"]; ok {
		fmt.Fprintf(&b, "others %.0f", v)
	}
	return b.String()
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return "FAILED: " + err.Error()
}

func choose(o options) ([]row, error) {
	var chosen []row
	for _, r := range rows {
		if selected(o.rows, r.name, true) {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no row is named %q; -h lists them", o.rows)
	}
	for name := range strings.SplitSeq(o.impl, ",") {
		if _, err := subjectNamed(name); err != nil && name != "" {
			return nil, err
		}
	}
	return chosen, nil
}

// selected reports whether a comma-separated list names name, or is empty. An
// exact name beats the prefix that it is of others.
func selected(list, name string, prefix bool) bool {
	if list == "" {
		return true
	}
	for want := range strings.SplitSeq(list, ",") {
		if want == name || prefix && rowNamed(want).title == "" && strings.HasPrefix(name, want) && want != "" {
			return true
		}
	}
	return false
}

// shrink makes a run tiny, for the smoke test.
func shrink(s *spec) {
	s.Conns = min(s.Conns, 20)
	s.Groups = min(s.Groups, 4)
	s.Messages = min(s.Messages, 20)
	s.Rounds = min(s.Rounds, 2)
	s.Size = min(s.Size, 4<<20)
	s.Warm, s.Measure, s.Settle = min(s.Warm, 10*time.Millisecond), 30*time.Millisecond, 0
}
