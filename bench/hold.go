package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// The sub-command hold: how much memory connections cost. It holds as many as
// it is told to, in as many pairs of processes as the limit on open files
// asks for, and prints the tables of docs/memory.md.
//
//	go run . hold                                      all of docs/memory.md's tables
//	go run . hold -carrier hub,poll -n 5000            some carriers
//	go run . hold -write ../docs/memory.md             and puts them there

const holdScenario = "hold"

// The ways in which the client process connects.
const (
	carrierLibrary = "library" // WebSocket without the hub
	carrierWS      = "ws"
	carrierSSE     = "sse"
	carrierH2      = "h2"
	carrierPoll    = "poll"
)

var dials = map[string]func(s *spec, index, group int) (*wire, error){
	carrierLibrary: dialWebSocket,
	carrierWS:      dialWebSocket,
	carrierSSE:     dialStream,
	carrierH2:      dialH2,
	carrierPoll:    dialPoll,
}

// carriage is one row of the table of carriers.
type carriage struct {
	name, title string
	spec        spec
	times       int // as many connections as the others; 0 is once
}

var carriages = []carriage{
	{name: "ws", title: "WebSocket, package ws alone", spec: spec{Carrier: carrierLibrary}},
	{name: "wss", title: "WebSocket over TLS, package ws alone", spec: spec{Carrier: carrierLibrary, TLS: true}},
	{name: "hub", title: "WebSocket in the hub", spec: spec{Carrier: carrierWS}},
	{name: "hub5", title: "WebSocket in the hub, in five pairs of processes", spec: spec{Carrier: carrierWS}, times: 5},
	{name: "hubtls", title: "WebSocket over TLS in the hub", spec: spec{Carrier: carrierWS, TLS: true}},
	{name: "sse", title: "event stream, HTTP/1.1", spec: spec{Carrier: carrierSSE}},
	{name: "ssehijack", title: "event stream, HTTP/1.1, `WithHijack`", spec: spec{Carrier: carrierSSE, Hijack: true}},
	{name: "h2", title: "event stream, HTTP/2 over TLS, one a connection", spec: spec{Carrier: carrierH2, TLS: true, Streams: 1}},
	{name: "h2x100", title: "event stream, HTTP/2 over TLS, 100 a connection", spec: spec{Carrier: carrierH2, TLS: true, Streams: 100}},
	{name: "poll", title: "long polling, HTTP/1.1", spec: spec{Carrier: carrierPoll}},
}

// collection is one row of the table of what the collector's settings change.
type collection struct {
	title string
	gc    int
	limit float64 // GOMEMLIMIT, as a multiple of what is live
}

var collections = []collection{
	{title: "`GOGC=100`, the default", gc: 100},
	{title: "`GOGC=50`", gc: 50},
	{title: "`GOGC=25`", gc: 25},
	{title: "`GOMEMLIMIT` of 1.5 x what is live", gc: 100, limit: 1.5},
	{title: "`GOMEMLIMIT` of 1.2 x what is live", gc: 100, limit: 1.2},
}

// holding is the sub-command's command line.
type holding struct {
	carriers, write string
	n               int
	parts, small    bool
}

// holdTimeout bounds one carrier.
const holdTimeout = 10 * time.Minute

// spareFiles is what a process needs besides its connections.
const spareFiles = 100

func runHold(out io.Writer, args []string) error {
	h := holding{}
	f := flag.NewFlagSet("hold", flag.ContinueOnError)
	f.StringVar(&h.carriers, "carrier", "", "carriers, separated by commas (default all)\n"+carriageHelp())
	f.IntVar(&h.n, "n", filesAllowed()-spareFiles, "connections of each carrier; more than one process may open are spread over several pairs of processes")
	f.StringVar(&h.write, "write", "", "Markdown file whose measured part is replaced")
	f.BoolVar(&h.parts, "parts", true, "measure the pieces of the hub and the collector's settings too")
	f.BoolVar(&h.small, "small", false, "tiny numbers, to see that everything runs")
	if err := f.Parse(args); err != nil {
		return err
	}
	if h.small {
		h.n = min(h.n, 200)
	}
	if h.n < 1 {
		return fmt.Errorf("-n %d: at least 1 is allowed", h.n)
	}
	text, err := h.report()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, text); err != nil || h.write == "" {
		return err
	}
	return replaceMeasured(h.write, text)
}

func carriageHelp() string {
	var b strings.Builder
	for _, c := range carriages {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.title)
	}
	return b.String()
}

// filesAllowed is how many files a process may open.
func filesAllowed() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return int(min(l.Max, 1<<20))
}

// hold measures one carrier and lets it go.
func hold(s spec, n int) (metrics, error) { return holdIn(s, n, filesAllowed()-spareFiles) }

// holdIn is hold with at most per connections in one process.
func holdIn(s spec, n, per int) (metrics, error) {
	ctx, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	if s.Streams > 1 {
		n -= n % s.Streams
		per = max(1, per/s.Streams) * s.Streams
	}
	var all []*pair
	defer func() {
		for _, p := range all {
			p.end()
		}
	}()
	for from := 0; from < n; from += per {
		p, err := newPair(ctx, s, min(per, n-from), len(all))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	before := kernelBytes()
	m, err := fillPairs(ctx, all)
	if err != nil {
		return nil, err
	}
	m["kernel"] = float64(kernelBytes()-before) / float64(2*n) // both ends are here
	m["n"] = float64(n)
	return m, nil
}

// pair is a server process and the client process that is connected to it.
type pair struct {
	spec           spec
	server, client *process
}

func newPair(ctx context.Context, s spec, n, index int) (*pair, error) {
	p := &pair{spec: s}
	p.spec.Conns, p.spec.From = n, index*n
	var err error
	if p.server, err = start(ctx, roleServer, &p.spec); err != nil {
		return nil, err
	}
	if err := p.server.answer(&p.spec); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return p, nil
}

// fillPairs has one client after the other open its connections. What comes
// out is the mean of one connection.
func fillPairs(ctx context.Context, all []*pair) (metrics, error) {
	sum := metrics{}
	for _, p := range all {
		var err error
		if p.client, err = start(ctx, roleClient, &p.spec); err != nil {
			return nil, err
		}
		var o outcome
		if err := p.client.answer(&o); err != nil {
			return nil, fmt.Errorf("client: %w%s", err, said(p.server))
		}
		if o.Error != "" {
			return nil, errors.New(o.Error + said(p.server))
		}
		for k, v := range o.Metrics {
			sum[k] += v / float64(len(all))
		}
	}
	return sum, nil
}

func (p *pair) end() {
	if p.client != nil {
		_ = p.client.end()
	}
	_ = p.server.end()
}

// holdSpec is what all carriers have in common.
func (h holding) holdSpec(c carriage) spec {
	s := c.spec
	s.Row, s.Subject, s.Scenario, s.Variant = holdScenario, oursPrefix, holdScenario, variantReply
	s.Groups, s.Size, s.Flight, s.Procs = max(1, h.n/10), 128, 1, runtime.NumCPU()
	s.Settle = 2 * time.Second
	if h.small {
		s.Settle = 100 * time.Millisecond
	}
	return s
}

func progress(text string, m metrics, err error) {
	fmt.Fprintf(os.Stderr, "%-60s %s\n", text, errText(err)+brief(row{columns: holdColumns}, m))
}
