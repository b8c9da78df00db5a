package comm

import (
	"context"
	"net/http"

	"github.com/anasamu/comm/internal/trace"
)

// traceContext returns ctx with the trace that a message carries in its headers, where it is valid.
func traceContext(ctx context.Context, m *Message) context.Context {
	parent := m.headers[trace.Traceparent]
	if parent == "" {
		return ctx
	}
	tc, err := trace.Parse(parent, m.headers[trace.Tracestate])
	if err != nil {
		return ctx
	}
	return trace.With(ctx, tc.Child())
}

// stampTrace returns m with the trace of ctx in its headers, where ctx has one: so a trace goes on
// from a handler to all that it sends.
func stampTrace(ctx context.Context, m *Message) *Message {
	tc := trace.From(ctx)
	if !tc.IsValid() {
		return m
	}
	c := *m
	c.headers = make(map[string]string, len(m.headers)+2)
	for k, v := range m.headers {
		c.headers[k] = v
	}
	c.headers[trace.Traceparent] = tc.String()
	if tc.State != "" {
		c.headers[trace.Tracestate] = tc.State
	}
	return &c
}

// requestTrace returns ctx with the trace of a request's headers.
func requestTrace(ctx context.Context, h http.Header) context.Context {
	parents := h.Values("Traceparent")
	if len(parents) != 1 {
		return ctx
	}
	tc, err := trace.Parse(parents[0], h.Values("Tracestate")...)
	if err != nil {
		return ctx
	}
	return trace.With(ctx, tc.Child())
}

// Traceparent returns the W3C traceparent of the trace that ctx is part of, or "". Handlers find
// that of their message, HTTP handlers that of their request.
func Traceparent(ctx context.Context) string {
	if tc := trace.From(ctx); tc.IsValid() {
		return tc.String()
	}
	return ""
}

// WithTraceparent returns ctx as part of the trace that a traceparent header names; an invalid one
// changes nothing. What is sent with that context carries it.
func WithTraceparent(ctx context.Context, traceparent, tracestate string) context.Context {
	tc, err := trace.Parse(traceparent, tracestate)
	if err != nil {
		return ctx
	}
	return trace.With(ctx, tc)
}
