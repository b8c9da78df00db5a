// Command bench measures comm beside its rivals: WebSocket, Server-Sent Events,
// the hub, GraphQL and gRPC, each as one row of one table.
//
//	go run .                                   all rows
//	go run . -rows echo128,sse -runs 5 -impl comm,gws,gobwas
//	go run . -rows echo128 -profile /tmp/prof   CPU profiles of the server processes
//	go run . hold                              what connections cost in memory: hold.go
//	go run . micro                             comm's micro-benchmarks beside the rivals': microcmp.go
//
// Server and clients are processes of their own: the program runs itself. See
// README.md for what is measured how.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	rows, impl string
	runs       int
	measure    time.Duration
	profile    string
	procs      int
	rate       float64
	small      bool // the smoke test's: every row with tiny numbers
	quiet      bool
}

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(playRole(role))
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case holdScenario:
			exit(runHold(os.Stdout, os.Args[2:]))
		case microCommand:
			exit(runMicro(os.Stdout, os.Args[2:]))
		}
	}
	o := options{}
	flag.StringVar(&o.rows, "rows", "", "rows to run, separated by commas; a prefix stands for all rows that begin so (default all)\n"+rowHelp())
	flag.StringVar(&o.impl, "impl", "", "implementations to run, separated by commas (default all)\n"+subjectHelp())
	flag.IntVar(&o.runs, "runs", 3, "runs of each implementation in each row; they alternate")
	flag.DurationVar(&o.measure, "time", time.Second, "how long one run measures, where it is not a number of messages")
	flag.StringVar(&o.profile, "profile", "", "directory for CPU profiles of the server processes' measured part")
	flag.IntVar(&o.procs, "procs", runtime.NumCPU(), "GOMAXPROCS of every server and client process")
	flag.Float64Var(&o.rate, "rate", 0, "paced rows: publish this many messages a second, instead of a share of what saturates the best rival")
	flag.BoolVar(&o.small, "small", false, "tiny numbers, to see that everything runs")
	flag.BoolVar(&o.quiet, "q", false, "no progress on standard error")
	flag.Parse()
	exit(runRows(os.Stdout, o))
}

func exit(err error) {
	switch {
	case errors.Is(err, flag.ErrHelp):
		err = nil
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func rowHelp() string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-14s %s\n", r.name, r.title)
	}
	return b.String()
}

func subjectHelp() string {
	var b strings.Builder
	for _, s := range subjects {
		fmt.Fprintf(&b, "  %-14s %s\n", s.Name(), s.Module())
	}
	return b.String()
}
