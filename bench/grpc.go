package main

import "slices"

// gRPC: unary calls, and a server stream for each member of a group. The client is the loop of all other rows with
// its own HTTP/2 framing, the same for every server.

// A caller serves TestService.UnaryCall of grpc-go's interoperability tests, which sends a payload back.
type caller interface {
	Calls(s *spec) (hub, error)
}

// A grpcStreamer sends what the server publishes to every stream of comm.v1.HubService.Subscribe.
type grpcStreamer interface {
	GRPCStreams(s *spec) (hub, error)
}

const (
	unaryPath     = "/grpc.testing.TestService/UnaryCall"
	subscribePath = "/comm.v1.HubService/Subscribe"

	variantGuarded = "guarded" // calls are authenticated, authorized, logged and counted
)

var (
	callCPU     = column{"cpu", "server CPU, us/call", "%.2f", true}
	callRate    = column{"rate", "calls/s", "%.0f", false}
	callAllocs  = column{"allocs", "allocs/call", "%.1f", true}
	callColumns = []column{callRate, p50Column, p99Column, callCPU, callAllocs, clientColumn, busyColumn, othersColumn}

	bare = []string{"grpc-go"}
	web  = []string{"grpc-http"}
)

var grpcRows = []row{
	callRow("grpcunary", "unary calls of 128 B, 16 in flight on each of 8 connections", spec{Conns: 8, Flight: 16},
		target{ratio: 0.95, among: bare}, target{metric: "rate", ratio: 2.5, among: web}, target{metric: "p50", ratio: 1 / 0.95, among: bare}),
	callRow("grpcunaryone", "the same with one in flight, on one connection", spec{Conns: 1, Flight: 1},
		target{ratio: 0.95, among: bare}, target{metric: "p50", ratio: 1 / 0.95, among: bare}),
	guardedRow(),
	{
		name: "grpcfan", title: "gRPC: one message to 1,000 server streams on 10 connections, and the next when all have it", wants: wantsGRPCStreams,
		target: target{ratio: 1, among: bare}, columns: hubColumns,
		spec: spec{Scenario: "broadcast", Conns: 1000, Streams: 100, Groups: 1, Size: 128, Messages: 1, Rounds: 2000},
	},
	{
		name: "grpcfanburst", title: "gRPC: 200 messages to the same streams", wants: wantsGRPCStreams,
		target: target{ratio: 1, among: bare}, columns: hubColumns,
		spec: spec{Scenario: "broadcast", Conns: 1000, Streams: 100, Groups: 1, Size: 128, Messages: 200, Rounds: 3},
	},
}

func callRow(name, title string, s spec, t target, also ...target) row {
	s.Scenario, s.Size, s.Warm = "calls", 128, warmUp
	return row{name: name, title: "gRPC: " + title, wants: wantsCalls, spec: s, columns: callColumns, target: t, also: also}
}

// guardedRow compares what the interceptors cost.
func guardedRow() row {
	r := callRow("grpcguard", "the first row; comm's calls are authenticated, authorized, logged and counted, the others' are not", spec{Conns: 8, Flight: 16, Variant: variantGuarded},
		target{ratio: 1.1, among: bare})
	r.columns = append([]column{callCPU}, slices.DeleteFunc(slices.Clone(callColumns), func(c column) bool { return c.metric == callCPU.metric })...)
	return r
}
