// Package leak finds goroutines that outlive the tests of a package.
//
// A package's TestMain is one line:
//
//	func TestMain(m *testing.M) { leak.Main(m) }
package leak

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// Wait is how long Check gives goroutines to end after the last test: enough for
// a closed connection's goroutines to notice on a busy machine. Only a leak takes it whole.
const Wait = 30 * time.Second

// Runner is what Main and Check need of *testing.M.
type Runner interface{ Run() int }

// Main runs the tests, looks for leaked goroutines, and exits the process with
// the tests' exit code, or with 1 if they passed but left goroutines behind.
func Main(m Runner) { os.Exit(Check(m)) }

// Check is Main without the exit: it returns the exit code. Use it where TestMain
// has something of its own to do around the tests.
func Check(m Runner) int { return check(m, os.Stderr, Wait) }

func check(m Runner, out io.Writer, wait time.Duration) int {
	code := m.Run()
	// After a failed or timed-out test, goroutines are expected and would only
	// bury the failure.
	if code != 0 {
		return code
	}
	leaked := Find(wait)
	if len(leaked) == 0 {
		return 0
	}
	fmt.Fprintf(out, "leak: %d goroutines outlive the tests:\n\n%s\n", len(leaked), strings.Join(leaked, "\n\n"))
	return 1
}

// Find returns the stacks of all goroutines but the caller's and the runtime's and
// testing's own. It returns nil as soon as there are none, and what is left when
// wait is over.
func Find(wait time.Duration) []string {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		leaked := interesting(stacks())
		if len(leaked) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return leaked
		}
		time.Sleep(pause)
	}
}

// stacks returns one text per goroutine, the caller's first.
func stacks() []string {
	for size := 64 << 10; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return strings.Split(strings.TrimSpace(string(buf[:n])), "\n\n")
		}
	}
}

// interesting drops the first stack, which is the caller's, and those that are not
// a test's doing.
func interesting(all []string) []string {
	var out []string
	for _, g := range all[min(1, len(all)):] {
		if !ignored(g) {
			out = append(out, g)
		}
	}
	return out
}

// ignored reports whether a stack belongs to the machinery that runs tests. runtime.Stack
// already leaves out most of the runtime's own goroutines.
func ignored(stack string) bool {
	for _, mark := range [...]string{
		"testing.RunTests(",
		"testing.Main(",
		"testing.(*M).",
		"testing.(*F).Fuzz",
		"testing.runFuzzing(",
		"testing.runFuzzTests(",
		"os/signal.signal_recv(",
		"os/signal.loop(",
		"runtime.ensureSigM",
		"runtime/trace.Start.func",
		"runtime/pprof.profileWriter(",
		"runtime.goexit0(",
		"created by runtime.gc",
		"internal/fuzz.",
		// Go 1.24+: cleanups and finalizers run on goroutines of the runtime.
		"runtime.runCleanups(",
		"runtime.runFinalizers(",
		"runtime.runfinq(",
	} {
		if strings.Contains(stack, mark) {
			return true
		}
	}
	return false
}
