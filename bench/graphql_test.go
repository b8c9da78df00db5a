package main

import (
	"strings"
	"testing"
	"time"
)

// parrot answers everything alike.
type parrot string

func (p parrot) Answer(dst, _ []byte) ([]byte, error) { return append(dst, p...), nil }

// A wrong answer must not be timed.
func TestWrongGraphQLAnswers(t *testing.T) {
	c := graphQLCases["graphqlhello"]
	for answer, right := range map[string]bool{
		`{"data":{"hello":"world"}}`:                           true,
		` {"data": {"hello": "world"} } `:                      true,
		`{"data":{"hello":"World"}}`:                           false,
		`{"data":{"hello":"world","more":1}}`:                  false,
		`{"data":{"hello":"world"},"errors":[{"message":""}]}`: false,
		`{"data":{"hello":"world"}`:                            false,
	} {
		r := &requests{answerer: parrot(answer), bodies: c.bodies()}
		if err := r.verify(c.want()); (err == nil) != right {
			t.Errorf("%s: %v", answer, err)
		}
	}
	r := &requests{answerer: parrot(`{}`), bodies: c.bodies(), size: 3}
	if _, err := r.runFor(time.Second); err == nil || !strings.Contains(err.Error(), "2 bytes where 3 are right") {
		t.Errorf("an answer of another length while timing: %v", err)
	}
}

// Every text of the uncached row is another one, and all have one answer.
func TestUncachedTextsDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for _, b := range graphQLCases["graphqluncached"].bodies() {
		seen[string(b)] = true
	}
	if len(seen) != distinct {
		t.Errorf("%d different texts, not %d", len(seen), distinct)
	}
}
