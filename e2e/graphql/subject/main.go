// Command subject is package graphql for the tests that hold it against npm graphql and its clients.
//
//	subject answer   reads schemas and requests from stdin, a JSON object a line, and answers each by a line
//	subject serve    serves one schema by NewHandler alone and as a provider of a gateway, and says where
//
// In answer, a line {"schema": {...}} makes a schema whose resolvers are made at run time, see
// [description]; {"request": {...}} executes an operation on it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/anasamu/comm/graphql"
)

func main() {
	flag.Usage = func() { fmt.Fprintln(flag.CommandLine.Output(), "usage: subject answer | serve") }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	var err error
	switch flag.Arg(0) {
	case "answer":
		err = answer(ctx, os.Stdin, os.Stdout)
	case "serve":
		err = serve(ctx, os.Stdout)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "subject:", err)
		os.Exit(1)
	}
}

// line is what stdin says; one of its members is there.
type line struct {
	Schema  *description     `json:"schema"`
	Request *json.RawMessage `json:"request"`
	// ByPath has the request answered over HTTP, in the older format of incremental delivery.
	ByPath bool `json:"byPath"`
}

// reply is a line of stdout. A query and a mutation have one response, or several if parts of it are put off, a
// subscription has any number.
type reply struct {
	Problems  []graphql.Problem `json:"problems,omitempty"`
	Responses []json.RawMessage `json:"responses,omitempty"`
	// Source tells that a subscription's source was made.
	Source bool `json:"source,omitempty"`
}

// answer answers line by line, until stdin ends.
func answer(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var s *graphql.Schema
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return err
		}
		var r reply
		var err error
		switch {
		case l.Schema != nil:
			s, r.Problems, err = makeSchema(l.Schema)
		case s == nil || l.Request == nil:
			err = errors.New("a line needs a schema, or a request after a schema that has no problem")
		case l.ByPath:
			r, err = executeByPath(ctx, s, *l.Request)
		default:
			r, err = execute(ctx, s, *l.Request)
		}
		if err != nil {
			return err
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return lines.Err()
}

// makeSchema gives the schema, or what is wrong with its SDL.
func makeSchema(d *description) (*graphql.Schema, []graphql.Problem, error) {
	s, err := graphql.NewSchema(d.options()...)
	if wrong, ok := errors.AsType[*graphql.SchemaError](err); ok {
		return nil, wrong.Problems, nil
	}
	return s, nil, err
}

// mostEvents ends a subscription whose source does not.
const mostEvents = 20

func execute(ctx context.Context, s *graphql.Schema, raw json.RawMessage) (r reply, err error) {
	req, err := graphql.ParseRequest(raw)
	if err != nil {
		return r, err
	}
	stream, body, out := s.Subscribe(ctx, req)
	if stream == nil {
		return reply{Responses: []json.RawMessage{body}}, outcomeMatches(body, &out)
	}
	r.Source = stream.Kind() == graphql.Subscription
	for body, out := range stream.Responses() {
		matches := outcomeMatches
		if len(r.Responses) > 0 && !r.Source {
			matches = partMatches
		}
		if err := matches(body, &out); err != nil {
			return r, err
		}
		if r.Responses = append(r.Responses, append(json.RawMessage(nil), body...)); r.Source && len(r.Responses) > mostEvents {
			return r, errors.New("the source does not end")
		}
	}
	return r, nil
}

// outcomeMatches holds what a transport is told beside the bytes against them.
func outcomeMatches(body []byte, out *graphql.Outcome) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("not JSON: %w: %s", err, body)
	}
	var errs []json.RawMessage
	if raw, ok := m["errors"]; ok {
		if err := json.Unmarshal(raw, &errs); err != nil || len(errs) == 0 {
			return fmt.Errorf("errors must be a list that is not empty: %s", body)
		}
	}
	if _, data := m["data"]; data == out.RequestError || len(errs) != len(out.Errors) {
		return fmt.Errorf("the outcome %+v does not tell of %s", *out, body)
	}
	return nil
}

// partMatches is outcomeMatches for what follows the first response of an operation in parts.
func partMatches(body []byte, out *graphql.Outcome) error {
	type errs struct{ Errors []json.RawMessage }
	var part struct {
		Incremental, Completed []errs
		HasNext                bool
	}
	if err := json.Unmarshal(body, &part); err != nil {
		return fmt.Errorf("not JSON: %w: %s", err, body)
	}
	n := 0
	for _, e := range slices.Concat(part.Incremental, part.Completed) {
		n += len(e.Errors)
	}
	if out.RequestError || out.HasNext != part.HasNext || n != len(out.Errors) {
		return fmt.Errorf("the outcome %+v does not tell of %s", *out, body)
	}
	return nil
}
