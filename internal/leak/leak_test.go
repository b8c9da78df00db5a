package leak_test

import (
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

type runner func() int

func (f runner) Run() int { return f() }

// The tests run one after the other: each one looks at the goroutines of the whole process.
func TestCheckReportsALeak(t *testing.T) {
	stop := make(chan struct{})
	done := make(chan struct{})
	var out strings.Builder
	code := leak.CheckTo(runner(func() int {
		begun := make(chan struct{})
		go leaveBehind(begun, stop, done)
		<-begun // before, its stack does not name it
		return 0
	}), &out, 20*time.Millisecond)
	close(stop)
	<-done
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"1 goroutines outlive", "leaveBehind"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestCheckWaits(t *testing.T) {
	var out strings.Builder
	code := leak.CheckTo(runner(func() int {
		stop := make(chan struct{})
		time.AfterFunc(30*time.Millisecond, func() { close(stop) })
		go leaveBehind(make(chan struct{}, 1), stop, make(chan struct{}))
		return 0
	}), &out, time.Minute)
	if code != 0 || out.Len() != 0 {
		t.Errorf("a goroutine that ends in time: code %d, output %q", code, out.String())
	}
}

func TestCheckKeepsTheTestsCode(t *testing.T) {
	stop := make(chan struct{})
	done := make(chan struct{})
	var out strings.Builder
	code := leak.CheckTo(runner(func() int {
		go leaveBehind(make(chan struct{}, 1), stop, done)
		return 2
	}), &out, time.Millisecond)
	close(stop)
	<-done
	if code != 2 || out.Len() != 0 {
		t.Errorf("failed tests: code %d, output %q; want 2 and none", code, out.String())
	}
}

func leaveBehind(begun, stop, done chan struct{}) {
	begun <- struct{}{}
	<-stop
	close(done)
}
