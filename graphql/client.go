package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Client asks a schema in the same process, for tests and for a service that uses its own API.
type Client struct{ s *Schema }

// NewClient makes a client of a schema.
func NewClient(s *Schema) *Client { return &Client{s} }

// Errors are the errors of a response.
type Errors []*Error

// Error lists the errors, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors, for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i := range e {
		list[i] = e[i]
	}
	return list
}

// Do executes a query or a mutation and decodes its data into data, a pointer, if that is not nil.
// variables is anything that is a JSON object, or nil. If the response has errors, they are returned as
// [Errors], and what there is of data is decoded all the same.
func (c *Client) Do(ctx context.Context, query string, variables, data any) error {
	req := &Request{Query: query}
	var err error
	if req.Variables, err = marshalVariables(variables); err != nil {
		return err
	}
	body, out := c.s.Append(ctx, nil, req)
	return decodeResponse(body, &out, data)
}

// Subscribe yields the data of each event of a subscription, and the event's errors as [Errors].
func (c *Client) Subscribe(ctx context.Context, query string, variables any) (iter.Seq2[json.RawMessage, error], error) {
	raw, err := marshalVariables(variables)
	if err != nil {
		return nil, err
	}
	st, _, out := c.s.Subscribe(ctx, &Request{Query: query, Variables: raw})
	if st == nil {
		return nil, Errors(out.Errors)
	}
	return func(yield func(json.RawMessage, error) bool) {
		for body, out := range st.Responses() {
			var data json.RawMessage
			err := decodeResponse(body, &out, &data)
			if !yield(data, err) {
				return
			}
		}
	}, nil
}

func marshalVariables(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("graphql: variables: %w", err)
	}
	return raw, nil
}

func decodeResponse(body []byte, out *Outcome, data any) error {
	var errs []error
	if data != nil && !out.RequestError {
		var res struct{ Data json.RawMessage }
		if err := json.Unmarshal(body, &res); err != nil {
			return fmt.Errorf("graphql: the response: %w", err)
		}
		if err := json.Unmarshal(res.Data, data); err != nil {
			errs = append(errs, fmt.Errorf("graphql: the data: %w", err))
		}
	}
	if len(out.Errors) > 0 {
		errs = append(errs, Errors(out.Errors))
	}
	return errors.Join(errs...)
}
