package graphql

import (
	"cmp"
	"fmt"
	"time"
)

// Limits bound what one request may cost. A zero field is its default; a negative one is no limit. Each
// has an error of its own, whose extension "code" is [CodeLimit].
type Limits struct {
	// Tokens bounds the tokens of a document. The default is 10,000.
	Tokens int
	// Depth bounds how deep fields nest, introspection not counted. The default is 15.
	Depth int
	// Aliases bounds the fields with an alias, fragments counted where they are used. The default is 50.
	Aliases int
	// Selections bounds the fields, fragments counted where they are used. The default is 5,000. Ten times
	// as many may be looked at by validation, which counts what each fragment leads to.
	Selections int
	// Cost bounds the sum of the fields' costs; see [Cost] and [Multiply]. The default is 5,000.
	Cost int
	// OverlapBudget bounds the steps to find out whether fields of one name can be merged
	// (specification 5.3.2). The default is 500,000.
	OverlapBudget int
	// Errors bounds the errors of a response, and those that validation looks for. The default is 100.
	Errors int
	// ResponseBytes bounds one response. The default is 16 MiB.
	ResponseBytes int
	// Pending bounds the deferred fragments and streamed lists of one operation, each counted for every object
	// that it is on. The default is 5,000. See [WithIncremental].
	Pending int
	// Parts bounds the responses of one operation with @defer or @stream; what is missing then is completed
	// with an error. The default is 10,000. Together they are held to ResponseBytes, and to Time.
	Parts int
	// Time ends the context of an operation's resolvers; it does not bound how long a subscription lives,
	// only each of its events. The default is 30 s.
	Time time.Duration
	// Concurrency bounds the goroutines that call the resolvers of one request. The default is 32.
	Concurrency int
	// CacheBytes bounds the cache of documents and plans. The default is 16 MiB.
	CacheBytes int
}

func defaultLimits() Limits {
	return Limits{
		Tokens: 10_000, Depth: 15, Aliases: 50, Selections: 5_000, Cost: 5_000, OverlapBudget: 500_000,
		Errors: 100, ResponseBytes: 16 << 20, Pending: 5_000, Parts: 10_000, Time: 30 * time.Second, Concurrency: 32, CacheBytes: 16 << 20,
	}
}

// noLimit is what a negative limit means inside.
const noLimit = 1 << 30

// resolve fills in defaults, and turns "none" into a number that is never reached.
func (l Limits) resolve() (Limits, error) {
	d := defaultLimits()
	l = l.or(d)
	for _, n := range l.counts() {
		if *n < 0 {
			*n = noLimit
		}
	}
	if l.Concurrency == noLimit {
		return l, fmt.Errorf("graphql: WithLimits: Concurrency must be 1 or more, or 0 for the default of %d", d.Concurrency)
	}
	return l, nil
}

// or takes the zero fields from others.
func (l Limits) or(others Limits) Limits {
	theirs := others.counts()
	for i, n := range l.counts() {
		*n = cmp.Or(*n, *theirs[i])
	}
	l.Time = cmp.Or(l.Time, others.Time)
	return l
}

// counts are all of them but Time.
func (l *Limits) counts() []*int {
	return []*int{
		&l.Tokens, &l.Depth, &l.Aliases, &l.Selections, &l.Cost, &l.OverlapBudget, &l.Errors, &l.ResponseBytes, &l.Pending, &l.Parts,
		&l.Concurrency, &l.CacheBytes,
	}
}
