package main

import (
	"math/rand"
	"slices"
	"time"
)

// QUIC: one client of quic-go alone reads and writes the frames of both sides: comm/1, and those of a bare stream,
// which have their length in four bytes before them and are given to quic-go with one Write each.

// A quicServer serves the rows of QUIC.
type quicServer interface {
	QUIC(s *spec) (hub, error)
}

// flooder is a hub that sends s.Size bytes of quicPayloads to everyone, one after the other and again.
type flooder interface {
	Flood(n int) error
}

// besider is a hub that sends a message of s.Size bytes and, on a schedule meanwhile, n small ones.
type besider interface {
	Beside(n int) error
}

// What goes through a hub of QUIC, and how.
const (
	variantEcho   = "echo"   // the server sends every message back
	variantMade   = "made"   // messages are made, or framed, once and sent many times
	variantFresh  = "fresh"  // each is made, or framed, when it is sent
	variantBeside = "beside" // a large message beside small ones
	variantGroup  = "group"  // every connection is in one group
)

// The names that the client goes by.
const (
	alpnComm = "comm/1"
	alpnBare = "bare"
)

const (
	besideSize   = 50 << 20
	besideSmall  = 64
	besidePeriod = time.Millisecond
)

var (
	bytesColumn   = column{"mbs", "MB/s", "%.0f", false}
	echoP50Column = column{"p50", "p50, us", "%.1f", true}
	getColumn     = column{"rate", "requests/s", "%.0f", false}

	floodColumns = []column{rateColumn, cpuColumn, allocColumn, clientColumn, busyColumn, othersColumn}
)

var quicRows = []row{
	floodRow("quicmsgs", "messages of 100 B on one connection, made once each and sent many times", rateColumn, 1.5,
		spec{Variant: variantMade, Conns: 1, Size: 100, Messages: 300_000, Rounds: 3}),
	floodRow("quicmsgsnew", "the same with a new message each", rateColumn, 0,
		spec{Variant: variantFresh, Conns: 1, Size: 100, Messages: 300_000, Rounds: 3}),
	floodRow("quiclarge", "messages of 1 MiB on one connection", bytesColumn, 0.95,
		spec{Variant: variantMade, Conns: 1, Size: 1 << 20, Messages: 150, Rounds: 3}),
	floodRow("quicbcast", "1,000 messages of 100 B to 200 connections; comm has one more, which takes nothing", delivColumn, 1,
		spec{Variant: variantGroup, Conns: 200, Size: 100, Messages: 1000, Rounds: 3, Stalled: true}),
	{
		name: "quicecho", title: "QUIC: echo of 64 B on one stream, one in flight", wants: wantsQUIC, target: target{ratio: 1.1},
		columns: []column{echoP50Column, p99Column, rateColumn, cpuColumn, allocColumn, clientColumn, busyColumn, othersColumn},
		spec:    spec{Scenario: "quicecho", Variant: variantEcho, Conns: 1, Size: 64, TLS: true, Warm: warmUp},
	},
	{
		name: "quiclane", title: "QUIC: small messages while one of 50 MiB is under way, on another lane, and on the same stream", wants: wantsQUIC,
		target: target{ratio: 0.1}, columns: []column{p99Column, p50Column, bytesColumn, busyColumn, othersColumn},
		spec: spec{Scenario: "quiclane", Variant: variantBeside, Conns: 1, Size: besideSize, Messages: 200, Rounds: 4, TLS: true},
	},
	{
		name: "h3get", title: "HTTP/3: GET through the manager, 16 in flight on each of 4 connections", wants: wantsH3, target: target{ratio: 0.95},
		columns: []column{getColumn, p50Column, p99Column, cpuColumn, allocColumn, clientColumn, busyColumn, othersColumn},
		spec:    spec{Scenario: "h3get", Conns: 4, Flight: 16, Size: 128, TLS: true, Warm: warmUp},
	},
}

func floodRow(name, title string, first column, ratio float64, s spec) row {
	s.Scenario, s.TLS = "quicflood", true
	columns := slices.Concat([]column{first}, floodColumns)
	if first.metric == rateColumn.metric {
		columns = columns[1:]
		columns[0] = first
	}
	return row{name: name, title: "QUIC: " + title, wants: wantsQUIC, spec: s, columns: slices.Clone(columns), target: target{ratio: ratio}}
}

// quicPayloads are the messages of one run, which both sides know: as many as tell a lost or swapped one.
func quicPayloads(s *spec) [][]byte {
	n := echoSlots
	if s.Size > 64<<10 {
		n = 8
	}
	if s.Size > 2<<20 {
		n = 1
	}
	random := rand.New(rand.NewSource(1))
	all := make([][]byte, n)
	for i := range all {
		all[i] = echoPayload(random, s, i)
	}
	return all
}
