package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// The GraphQL rows: in process, from the bytes of a request to the bytes of its
// response, one request after the other.

// A querier serves the schema of package gqlschema.
type querier interface {
	GraphQL(s *spec) (answerer, error)
}

// An answerer appends the response to a request, both as JSON.
type answerer interface {
	Answer(dst, request []byte) ([]byte, error)
}

var (
	opColumn       = column{"us", "us/request", "%.2f", true}
	opCPUColumn    = column{"cpu", "CPU, us/request", "%.2f", true}
	opAllocsColumn = column{"allocs", "allocs/request", "%.1f", true}
	opBytesColumn  = column{"bytes", "B allocated/request", "%.0f", true}
	graphQLColumns = []column{opColumn, opCPUColumn, opAllocsColumn, opBytesColumn, othersColumn}
)

var graphQLRows = append([]row{
	graphQLRow("graphqlhello", "{ hello }, a document that was seen before", target{ratio: 1 / 2.5}, target{absolute: 2}, target{metric: "allocs", absolute: 10}),
	graphQLRow("graphqlobjects", "a list of 100 objects with 4 fields each", target{ratio: 1 / 5.0}, target{absolute: 40}, target{metric: "allocs", absolute: 20}),
	graphQLRow("graphqlbatch", "100 parents with 10 children each, all fetched by one call where the library can", target{ratio: 1 / 2.0}),
	graphQLRow("graphqlresolve", "100 parents with 10 children each, fetched by a call for each parent that may block", target{ratio: 1 / 2.0}),
	graphQLRow("graphqlwait", "the same while each of these calls takes 1 ms, with the limits on calls at once that each library has by default", target{}),
	graphQLRow("graphqluncached", "a medium query with variables, fragments and arguments, its text new each time: parse, validate, plan, execute", target{ratio: 1 / 1.5}),
	subscriptionRow,
}, socketRows...)

func graphQLRow(name, title string, first target, also ...target) row {
	return row{
		name: name, title: "GraphQL: " + title, wants: wantsGraphQL, columns: graphQLColumns, target: first, also: also,
		spec: spec{Scenario: "graphql", Variant: name, Warm: 300 * time.Millisecond},
	}
}

// driveGraphQL sends a case's requests one after the other, after every text of
// them has been answered right once.
func driveGraphQL(s *spec) (metrics, error) {
	sub, err := subjectNamed(s.Subject)
	if err != nil {
		return nil, err
	}
	a, err := sub.(querier).GraphQL(s)
	if err != nil {
		return nil, err
	}
	debug.SetGCPercent(100) // this client process is what is measured
	r := &requests{answerer: a, bodies: graphQLCases[s.Variant].bodies()}
	if err := r.verify(graphQLCases[s.Variant].want()); err != nil {
		return nil, err
	}
	if _, err := r.runFor(s.Warm); err != nil {
		return nil, err
	}
	if err := startProfile(s.Profile); err != nil {
		return nil, err
	}
	before, idle, began := usageNow(), idleTime(), time.Now()
	n, err := r.runFor(s.Measure)
	elapsed := time.Since(began)
	used := usageNow().since(before)
	if err != nil {
		return nil, err
	}
	m := used.per(n)
	m["us"] = elapsed.Seconds() * 1e6 / float64(n)
	m["others"] = othersSince(idle, elapsed, used.CPU)
	return m, stopProfile(s.Profile)
}

// since is what was used after before.
func (u usage) since(before usage) usage {
	return usage{CPU: u.CPU - before.CPU, Mallocs: u.Mallocs - before.Mallocs, Bytes: u.Bytes - before.Bytes}
}

// per is what each of n operations has used.
func (u usage) per(n int) metrics {
	return metrics{
		"cpu":    u.CPU.Seconds() * 1e6 / float64(n),
		"allocs": float64(u.Mallocs) / float64(n),
		"bytes":  float64(u.Bytes) / float64(n),
	}
}

// othersSince is the share of all CPUs that other processes have had.
func othersSince(idle int64, elapsed, cpu time.Duration) float64 {
	all := elapsed.Seconds() * float64(runtime.NumCPU())
	unused := float64(idleTime()-idle) / 100
	return max(0, (all-unused-cpu.Seconds())/all*100)
}

// requests go to a server in turn.
type requests struct {
	answerer
	bodies [][]byte
	next   int
	size   int // of every answer
	buf    []byte
}

// verify compares the answer to each text with what it must be.
func (r *requests) verify(want any) error {
	for _, body := range r.bodies {
		answer, err := r.Answer(nil, body)
		if err == nil {
			err = sameJSON(answer, want)
		}
		if err != nil {
			return fmt.Errorf("%.60q...: %w", body, err)
		}
		r.size = len(answer)
	}
	return nil
}

// runFor sends requests for a while. All have the same answer, so its length
// tells one that went wrong.
func (r *requests) runFor(d time.Duration) (n int, err error) {
	const between = 4 // requests between two looks at the clock
	for end := time.Now().Add(d); time.Now().Before(end); n += between {
		for range between {
			if r.buf, err = r.Answer(r.buf[:0], r.bodies[r.next]); err != nil {
				return n, err
			}
			if len(r.buf) != r.size {
				return n, fmt.Errorf("an answer of %d bytes where %d are right: %.200q", len(r.buf), r.size, r.buf)
			}
			if r.next++; r.next == len(r.bodies) {
				r.next = 0
			}
		}
	}
	return n, nil
}

// graphQLContext is the context of every request.
var graphQLContext = context.Background()
