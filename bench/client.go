package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// scenarios are what the client process can do, by name.
var scenarios = map[string]func(*spec) (metrics, error){
	"echo":      driveEcho,
	"idle":      driveIdle,
	"broadcast": driveBroadcast,
	"paced":     drivePaced,
	"job":       driveJob,
	"pacedjob":  drivePacedJob,
	"stalled":   driveStalled,
	"enqueue":   driveProbe,
	"joinleave": driveProbe,

	"calls": driveCalls,

	"quicflood": driveQUICFlood,
	"quicecho":  driveQUICEcho,
	"quiclane":  driveQUICLane,
	"h3get":     driveH3,

	"graphql":     driveGraphQL,
	"graphqlsubs": driveGraphQLSource,
	"graphqlws":   driveGraphQLHub,

	holdScenario: driveHold,
}

func drive(s *spec) (metrics, error) {
	f, ok := scenarios[s.Scenario]
	if !ok {
		return nil, fmt.Errorf("no scenario %q", s.Scenario)
	}
	if rowNamed(s.Row).wants.onThread() {
		runtime.LockOSThread() // the loop is one thread
	}
	return f(s)
}

// measured is what both processes used between two moments.
type measured struct {
	control     *control
	before      usage
	client      time.Duration
	began       time.Time
	elapsed     time.Duration
	idle        int64   // of all CPUs, in hundredths of a second
	unused      float64 // share of all CPUs
	serverCPU   time.Duration
	clientCPU   time.Duration
	allocations float64
	bytes       float64
}

func begin(c *control) (*measured, error) {
	u, err := c.ask(request{Op: "begin"})
	return &measured{control: c, before: u, client: cpuTime(), began: time.Now(), idle: idleTime()}, err
}

// stop ends the measured part; asking the server is no part of it.
func (m *measured) stop() {
	m.elapsed, m.clientCPU = time.Since(m.began), cpuTime()-m.client
	m.unused = float64(idleTime()-m.idle) / 100 / m.elapsed.Seconds() / float64(runtime.NumCPU()) * 100
}

// idleTime is how long the machine's CPUs have been idle, in the 1/100 s of
// /proc/stat.
func idleTime() int64 {
	doc, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(doc[:min(len(doc), 256)]))
	if len(f) < 6 {
		return 0
	}
	n, _ := strconv.ParseInt(f[4], 10, 64)
	return n
}

func (m *measured) end() error {
	if m.elapsed == 0 {
		m.stop()
	}
	u, err := m.control.ask(request{Op: "end"})
	m.serverCPU = u.CPU - m.before.CPU
	m.allocations = float64(u.Mallocs - m.before.Mallocs)
	m.bytes = float64(u.Bytes - m.before.Bytes)
	return err
}

// report is what every row tells of n messages.
func (m *measured) report(n int) metrics {
	per := float64(max(1, n))
	busy := (m.clientCPU + m.serverCPU).Seconds() / m.elapsed.Seconds() / float64(runtime.NumCPU()) * 100
	return metrics{
		"rate":      float64(n) / m.elapsed.Seconds(),
		"cpu":       m.serverCPU.Seconds() * 1e6 / per,
		"allocs":    m.allocations / per,
		"bytes":     m.bytes / per,
		"clientcpu": m.clientCPU.Seconds() / (m.clientCPU + m.serverCPU).Seconds() * 100,
		"busy":      busy,
		"others":    max(0, 100-busy-m.unused),
	}
}

// connect opens the spec's connections, spread over its groups.
func connect(s *spec, l *loop, dial func(s *spec, index, group int) (*wire, error)) error {
	for i := range s.Conns {
		w, err := dial(s, i, i%max(1, s.Groups))
		if err == nil {
			err = l.add(w)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}
