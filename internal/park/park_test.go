//go:build linux

package park_test

import (
	"context"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/leak"
	"github.com/anasamu/comm/internal/park"
)

func TestMain(m *testing.M) { leak.Main(m) }

// socket is one end of a pair of sockets, and the other as bare bytes.
type socket struct {
	file *os.File
	sys  syscall.RawConn
	peer *os.File
}

func pair(t testing.TB) *socket {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{file: os.NewFile(uintptr(fds[0]), "near"), peer: os.NewFile(uintptr(fds[1]), "far")}
	if s.sys, err = s.file.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.file.Close(); s.peer.Close() })
	return s
}

func (s *socket) say(t testing.TB) {
	t.Helper()
	if _, err := s.peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

// waiter returns a waiter, and what is sent to each time it is woken.
func waiter() (*park.Waiter, <-chan time.Time) {
	w, woken := new(park.Waiter), make(chan time.Time, 100)
	w.Init(func() { woken <- time.Now() })
	return w, woken
}

func mustPark(t testing.TB, w *park.Waiter, s *socket, wait time.Duration) {
	t.Helper()
	w.Prepare()
	if ok, err := w.Park(s.sys, wait); !ok || err != nil {
		t.Fatal(ok, err)
	}
}

func wake(t testing.TB, woken <-chan time.Time) time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case at := <-woken:
		return at
	case <-ctx.Done():
		t.Fatal("nobody woke it")
		panic("not reached")
	}
}

// quiet fails if woken gets anything, once others that came later have been woken.
func quiet(t testing.TB, woken <-chan time.Time) {
	t.Helper()
	s := pair(t)
	w, other := waiter()
	defer w.Close()
	for range 3 {
		mustPark(t, w, s, park.Step)
		wake(t, other)
	}
	select {
	case <-woken:
		t.Fatal("it was woken")
	default:
	}
}

func TestWokenByWhatComes(t *testing.T) {
	s := pair(t)
	w, woken := waiter()
	defer w.Close()
	mustPark(t, w, s, 0)
	quiet(t, woken)
	s.say(t)
	wake(t, woken)
	quiet(t, woken) // once
	// What is there already wakes at once.
	mustPark(t, w, s, 0)
	wake(t, woken)
	s.file.Read(make([]byte, 8))
	mustPark(t, w, s, 0)
	quiet(t, woken)
	s.peer.Close()
	wake(t, woken)
}

// Whoever waits for less does not wait for those that came before, nor does anybody wait for too little.
func TestWokenByTime(t *testing.T) {
	last := pair(t)
	patient, never := waiter()
	defer patient.Close()
	mustPark(t, patient, last, time.Hour)
	waits := []time.Duration{300 * time.Millisecond, 1, 100 * time.Millisecond, 200 * time.Millisecond}
	began := time.Now()
	var all sync.WaitGroup
	for _, d := range waits {
		s := pair(t)
		w, woken := waiter()
		defer w.Close()
		mustPark(t, w, s, d)
		all.Go(func() {
			if took := (<-woken).Sub(began); took < d {
				t.Errorf("woken after %v instead of %v", took, d)
			}
		})
	}
	all.Wait()
	quiet(t, never)
}

func TestWake(t *testing.T) {
	s := pair(t)
	w, woken := waiter()
	w.Wake() // nothing is parked
	mustPark(t, w, s, time.Hour)
	w.Wake()
	w.Wake()
	wake(t, woken)
	quiet(t, woken)

	w.Prepare()
	w.Wake() // remembered
	if ok, err := w.Park(s.sys, 0); ok || err != nil {
		t.Fatal(ok, err)
	}
	mustPark(t, w, s, 0)
	w.Close()
	wake(t, woken)
	w.Prepare()
	if ok, err := w.Park(s.sys, 0); ok || err != nil {
		t.Fatal("parked after Close", ok, err)
	}
	w.Close()
	quiet(t, woken)
}

func TestLeave(t *testing.T) {
	s := pair(t)
	w, woken := waiter()
	defer w.Close()
	w.Leave() // it was never parked
	for range 3 {
		mustPark(t, w, s, 0)
		quiet(t, woken)
		s.say(t)
		wake(t, woken)
		s.file.Read(make([]byte, 8))
		w.Leave()
		s.say(t)
		quiet(t, woken)
		mustPark(t, w, s, 0) // sees what came meanwhile
		wake(t, woken)
		s.file.Read(make([]byte, 8))
	}
}

func TestParkOfAClosedSocket(t *testing.T) {
	s := pair(t)
	w, woken := waiter()
	defer w.Close()
	s.file.Close()
	w.Prepare()
	if ok, err := w.Park(s.sys, 0); ok || err == nil {
		t.Fatal(ok, err)
	}
	quiet(t, woken)
}

// A descriptor that epoll refuses is an error, and the waiter can be used on.
func TestParkOfAFile(t *testing.T) {
	reg, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	sys, err := reg.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	w, woken := waiter()
	defer w.Close()
	w.Prepare()
	if ok, err := w.Park(sys, 0); ok || err == nil {
		t.Fatal(ok, err)
	}
	s := pair(t)
	mustPark(t, w, s, 0)
	s.say(t)
	wake(t, woken)
}

// A descriptor is used again at once by the next socket. Whoever waited for the one before hears of it, and of
// nothing that is the next one's.
func TestDescriptorUsedAgain(t *testing.T) {
	old, fresh := pair(t), pair(t)
	w1, woken1 := waiter()
	defer w1.Close()
	mustPark(t, w1, old, 0)
	fd := -1
	old.sys.Control(func(p uintptr) { fd = int(p) })
	// Another socket takes the place behind everybody's back.
	fresh.sys.Control(func(p uintptr) {
		if err := syscall.Dup3(int(p), fd, syscall.O_CLOEXEC); err != nil {
			t.Error(err)
		}
	})
	w2, woken2 := waiter()
	defer w2.Close()
	mustPark(t, w2, old, 0) // its descriptor is fresh's socket now
	wake(t, woken1)
	quiet(t, woken2)
	fresh.say(t)
	wake(t, woken2)
	quiet(t, woken1)
	w1.Close() // takes nothing from w2
	mustPark(t, w2, old, 0)
	wake(t, woken2)
}

// Sockets are parked, spoken to, woken, closed and opened again by many at once; nothing that is owed a
// wake-up goes without, and nobody is woken twice.
func TestStorm(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for range rounds {
				storm(t, rnd)
			}
		})
	}
	all.Wait()
}

func storm(t *testing.T, rnd *rand.Rand) {
	s := pair(t)
	defer func() { s.file.Close(); s.peer.Close() }()
	w := new(park.Waiter)
	var owner atomic.Int32
	woken := make(chan struct{}, 1)
	w.Init(func() {
		if owner.Add(1) != 1 {
			t.Error("it has two owners")
		}
		woken <- struct{}{}
	})
	owner.Add(1)
	for range 1 + rnd.IntN(3) {
		var by sync.WaitGroup
		how := rnd.IntN(4)
		wait := time.Hour
		switch how {
		case 0:
			by.Go(func() { s.peer.Write([]byte("x")) })
		case 1:
			wait = 1
		case 2:
			by.Go(w.Wake)
		case 3:
			by.Go(w.Close)
		}
		w.Prepare()
		owner.Add(-1)
		ok, err := w.Park(s.sys, wait)
		if err != nil {
			t.Error(err)
		}
		if ok && how == 2 {
			by.Wait()
			w.Wake() // the one before may have come before Prepare
		}
		if ok {
			<-woken
			if rnd.IntN(2) == 0 {
				w.Leave()
			}
		} else {
			owner.Add(1)
		}
		by.Wait()
		if how == 3 {
			break
		}
	}
	w.Close()
	w.Wake()
	if owner.Load() != 1 {
		t.Error("it has another owner")
	}
}

func TestGoroutineEnds(t *testing.T) {
	nobodyPolls(t) // of an earlier test
	s := pair(t)
	w, woken := waiter()
	mustPark(t, w, s, 0)
	if running() != 1 {
		t.Errorf("%d goroutines poll", running())
	}
	n := park.Count()
	w.Close()
	wake(t, woken)
	if park.Count() != n-1 {
		t.Errorf("%d are parked", park.Count())
	}
	nobodyPolls(t)
}

func nobodyPolls(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); running() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it goes on without anything parked")
		}
	}
}

// running counts the goroutines of the poller, by who began them: one that has not run yet is in no function of it.
func running() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "created by github.com/anasamu/comm/internal/park.(*poller).")
}

func BenchmarkPark(b *testing.B) {
	s := pair(b)
	w, woken := waiter()
	defer w.Close()
	buf := make([]byte, 8)
	b.ReportAllocs()
	for b.Loop() {
		mustPark(b, w, s, time.Minute)
		s.say(b)
		<-woken
		s.file.Read(buf)
	}
}
