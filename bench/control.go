package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what the server process has used so far, and holds now.
type usage struct {
	CPU     time.Duration
	Mallocs uint64
	Bytes   uint64 // allocated
	RSS     int64
	Anon    int64 // of RSS
	Members int
	Error   string

	Live, Stacks int64 // "live": the heap and the stacks behind a collection
	Goroutines   int
}

// request is one line to the control endpoint: usage, and what to publish.
type request struct {
	Op       string // "usage", "begin", "end", "burst", "paced", "flood", "beside", "fill", "live"
	Messages int
	Rate     float64
}

// serve is the server process: it starts the subject, prints how it is
// reached, and obeys the control endpoint until its standard input ends.
func serve(s *spec) error {
	if s.Profile != "" {
		runtime.MemProfileRate = 16 << 10
	}
	h, err := open(s)
	if err != nil {
		return err
	}
	s.Entry = h.Entry()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Control = ln.Addr().String()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go obey(c, s, &publisher{hub: h, spec: s, next: make([]uint64, max(1, s.Groups))})
		}
	}()
	if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// open starts what the scenario needs of the subject.
func open(s *spec) (hub, error) {
	if s.Scenario == holdScenario {
		return holdServer(s)
	}
	sub, err := subjectNamed(s.Subject)
	if err != nil {
		return nil, err
	}
	switch wants := rowNamed(s.Row).wants; {
	case wants == wantsEcho:
		e, err := sub.(echoer).Echo(s)
		return echoing{e}, err
	case wants == wantsHub:
		return sub.(hubber).Hub(s)
	case wants == wantsStreams:
		return sub.(streamer).Streams(s)
	case wants == wantsGraphQLHub:
		return sub.(graphQLHubber).GraphQLHub(s)
	case wants == wantsCalls:
		return sub.(caller).Calls(s)
	case wants == wantsGRPCStreams:
		return sub.(grpcStreamer).GRPCStreams(s)
	case wants == wantsQUIC:
		return sub.(quicServer).QUIC(s)
	case wants == wantsH3:
		return sub.(h3Server).H3(s)
	case wants == wantsStaller:
		return sub.(staller).Stall(s)
	case wants.inProcess():
		return echoing{}, nil // the client process measures in process
	default:
		return sub.(jobber).Job(s)
	}
}

// echoing is an echo server as a hub without groups.
type echoing struct{ entry entry }

func (e echoing) Entry() entry            { return e.entry }
func (echoing) Members() int              { return -1 }
func (echoing) Publish(int, []byte) error { return errUnsupported }

func obey(c net.Conn, s *spec, p *publisher) {
	defer c.Close()
	in, out := json.NewDecoder(bufio.NewReader(c)), json.NewEncoder(c)
	for {
		var r request
		if in.Decode(&r) != nil {
			return
		}
		if err := out.Encode(answerTo(r, s, p)); err != nil {
			return
		}
	}
}

// answerTo does what a request asks for. Only those about usage are told of it: to read it stops the process.
func answerTo(r request, s *spec, p *publisher) (u usage) {
	var err error
	switch r.Op {
	case "begin":
		err = startProfile(s.Profile)
		u = usageNow()
	case "usage", "end":
		u = usageNow()
	case "live":
		u = liveUsage()
	case "burst":
		err = p.burst(r.Messages)
	case "paced":
		err = p.paced(r.Messages, r.Rate)
	case "flood":
		err = p.hub.(flooder).Flood(r.Messages)
	case "beside":
		err = p.hub.(besider).Beside(r.Messages)
	case "fill":
		err = p.hub.(filler).Fill(groupStalled)
	}
	u.Members = p.hub.Members()
	if r.Op == "end" {
		err = errors.Join(err, stopProfile(s.Profile))
	}
	if err != nil {
		u.Error = err.Error()
	}
	return u
}

func startProfile(name string) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// stopProfile also writes where memory was allocated since the start.
func stopProfile(name string) error {
	if name == "" {
		return nil
	}
	pprof.StopCPUProfile()
	runtime.GC() // what was allocated since the last one is in no profile
	f, err := os.Create(strings.TrimSuffix(name, ".pprof") + ".allocs.pprof")
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

func usageNow() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{CPU: cpuTime(), Mallocs: m.Mallocs, Bytes: m.TotalAlloc}
	u.RSS, u.Anon = resident()
	return u
}

// cpuTime is the CPU time of this process, user and system.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // RUSAGE_SELF has no way to fail
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resident is VmRSS and RssAnon of this process, in bytes.
func resident() (rss, anon int64) {
	doc, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(doc)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			rss = n << 10
		case "RssAnon:":
			anon = n << 10
		}
	}
	return rss, anon
}

// control is the client's end of the control endpoint.
type control struct {
	conn net.Conn
	in   *json.Decoder
	out  *json.Encoder
}

func dialControl(s *spec) (*control, error) {
	c, err := net.Dial("tcp", s.Control)
	if err != nil {
		return nil, err
	}
	return &control{c, json.NewDecoder(c), json.NewEncoder(c)}, nil
}

// send asks without waiting.
func (c *control) send(r request) error { return c.out.Encode(r) }

func (c *control) receive() (usage, error) {
	var u usage
	if err := c.in.Decode(&u); err != nil {
		return u, err
	}
	if u.Error != "" {
		return u, errors.New("server: " + u.Error)
	}
	return u, nil
}

func (c *control) ask(r request) (usage, error) {
	if err := c.send(r); err != nil {
		return usage{}, err
	}
	return c.receive()
}

// join waits until n clients are in groups.
func (c *control) join(n int) error {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		u, err := c.ask(request{Op: "usage"})
		switch {
		case err != nil:
			return err
		case u.Members == n:
			time.Sleep(50 * time.Millisecond) // some count a client just before it is in
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d of %d clients are in groups", u.Members, n)
		}
	}
}
