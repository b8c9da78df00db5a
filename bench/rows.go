package main

import (
	"slices"
	"time"
)

// wants says what a row needs of a subject.
type wants int

const (
	wantsEcho wants = iota
	wantsHub
	wantsStreams
	wantsJob
	wantsStaller
	wantsProbe
	wantsGraphQL
	wantsGraphQLSource
	wantsGraphQLHub
	wantsCalls
	wantsGRPCStreams
	wantsQUIC
	wantsH3
)

// inProcess reports whether the client process measures itself.
func (w wants) inProcess() bool {
	return w == wantsProbe || w == wantsGraphQL || w == wantsGraphQLSource
}

// onThread reports whether the client is the loop, which is one thread.
func (w wants) onThread() bool { return !w.inProcess() && w != wantsQUIC && w != wantsH3 }

// row is one row of the table.
type row struct {
	name    string
	title   string
	wants   wants
	spec    spec
	columns []column // the first is the one that the target is about
	target  target
	also    []target // more of them
	not     []string // subjects that the row makes no sense for
	only    []string // if set: the only subjects
}

// column is one metric in a row's table.
type column struct {
	metric string
	title  string
	format string
	lower  bool // is better
}

// target is what a column is to reach.
type target struct {
	metric   string   // the column's; "" for the first
	ratio    float64  // of comm to the best rival; 0 for none
	absolute float64  // the value itself; 0 for none
	zero     bool     // the value is 0
	among    []string // if set: the rivals that it is about, of those in the row
}

var (
	cpuColumn    = column{"cpu", "server CPU, us/msg", "%.2f", true}
	rateColumn   = column{"rate", "msg/s", "%.0f", false}
	allocColumn  = column{"allocs", "allocs/msg", "%.3f", true}
	clientColumn = column{"clientcpu", "client's share of CPU, %", "%.0f", true}
	busyColumn   = column{"busy", "CPU of both, %", "%.0f", true}
	othersColumn = column{"others", "CPU of others, %", "%.0f", true}
	rssColumn    = column{"rss", "RSS, B/conn", "%.0f", true}
	anonColumn   = column{"anon", "RssAnon, B/conn", "%.0f", true}
	delivColumn  = column{"rate", "deliveries/s", "%.0f", false}
	p50Column    = column{"p50", "p50, us", "%.0f", true}
	p99Column    = column{"p99", "p99, us", "%.0f", true}
	p999Column   = column{"p999", "p99.9, us", "%.0f", true}
	paceColumn   = column{"pace", "paced at, deliveries/s", "%.0f", false}
)

// echoRow is a row of echoed messages.
func echoRow(name, title string, t target, first column, change func(*spec)) row {
	r := row{
		name: name, title: title, wants: wantsEcho, target: t,
		spec: spec{Scenario: "echo", Conns: 100, Flight: 1, Size: 128, Warm: 300 * time.Millisecond},
	}
	change(&r.spec)
	r.columns = []column{first}
	for _, c := range []column{cpuColumn, rateColumn, allocColumn, clientColumn, busyColumn, othersColumn} {
		if c.metric != first.metric {
			r.columns = append(r.columns, c)
		}
	}
	return r
}

// cheap and fast are the two echo rows that come plain, over TLS and deflated.
func cheap(name, title string, ratio float64, change func(*spec)) row {
	return echoRow(name, title, target{ratio: ratio}, cpuColumn, change)
}

func fast(name, title string, ratio float64, change func(*spec)) row {
	return echoRow(name, title, target{ratio: ratio}, rateColumn, func(s *spec) { s.Flight = 16; change(s) })
}

func plain(*spec)        {}
func overTLS(s *spec)    { s.TLS = true }
func compressed(s *spec) { s.Deflate = true }
func large(s *spec)      { s.Size = 16 << 10 }
func largeText(s *spec)  { s.Size, s.Text = 16<<10, true }

var rows = slices.Concat([]row{
	cheap("echo128", "echo 128 B, one in flight, 100 connections", 1.03, plain),
	fast("echo128x16", "echo 128 B, 16 in flight, 100 connections", 4, plain),
	echoRow("echo16k", "echo 16 KiB, binary", target{ratio: 1}, rateColumn, large),
	echoRow("echo16ktext", "echo 16 KiB of text, checked to be UTF-8", target{ratio: 1}, rateColumn, largeText),
	cheap("tls128", "echo 128 B over TLS 1.3, one in flight", 1.1, overTLS),
	fast("tls128x16", "echo 128 B over TLS 1.3, 16 in flight", 2, overTLS),
	cheap("deflate128", "echo 128 B of text, permessage-deflate without takeover, one in flight", 0, compressed),
	fast("deflate128x16", "echo 128 B of text, permessage-deflate without takeover, 16 in flight", 0, compressed),
	echoRow("allocs", "allocations of the whole server process per echoed message", target{zero: true}, allocColumn, plain),
}, idleRows, broadcastRows, streamRows, jobRows, pacedRows, stalledRows, microRows, graphQLRows, grpcRows, quicRows)

func rowNamed(name string) row {
	i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
	if i < 0 {
		return row{name: name}
	}
	return rows[i]
}

// can reports whether a subject takes part in a row.
func (r row) can(s subject) bool {
	if slices.Contains(r.not, s.Name()) || r.only != nil && !slices.Contains(r.only, s.Name()) {
		return false
	}
	var ok bool
	switch r.wants {
	case wantsEcho:
		_, ok = s.(echoer)
	case wantsHub:
		_, ok = s.(hubber)
	case wantsStreams:
		_, ok = s.(streamer)
	case wantsJob:
		_, ok = s.(jobber)
	case wantsStaller:
		_, ok = s.(staller)
	case wantsProbe:
		_, ok = s.(prober)
	case wantsGraphQL:
		_, ok = s.(querier)
	case wantsGraphQLSource:
		_, ok = s.(subscriber)
	case wantsGraphQLHub:
		_, ok = s.(graphQLHubber)
	case wantsCalls:
		_, ok = s.(caller)
	case wantsGRPCStreams:
		_, ok = s.(grpcStreamer)
	case wantsQUIC:
		_, ok = s.(quicServer)
	case wantsH3:
		_, ok = s.(h3Server)
	}
	return ok
}
