package warm_test

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/anasamu/comm/internal/leak"
	"github.com/anasamu/comm/internal/warm"
)

func TestMain(m *testing.M) { leak.Main(m) }

// As many goroutines stay as may, and no more.
func TestKeeps(t *testing.T) {
	for _, most := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := warm.Pool{Most: most}
			for range 3 {
				var all sync.WaitGroup
				gate := make(chan bool)
				for range 5 {
					all.Add(1)
					p.Go(func() { defer all.Done(); <-gate })
				}
				close(gate)
				all.Wait()
				synctest.Wait()
				if n := kept(); n != most {
					t.Errorf("%d goroutines stay, want %d", n, most)
				}
			}
			p.Close() // or else the bubble would not end
		})
	}
}

// kept counts the goroutines of pools in bubbles. runtime.NumGoroutine would count others too, and for a
// moment those that have ended.
func kept() (n int) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		head, frames, _ := strings.Cut(stack, "\n")
		if strings.Contains(head, "synctest bubble") && strings.Contains(frames, "warm.(*Pool).run(") {
			n++
		}
	}
	return n
}

// A function that is given while a goroutine waits is not lost, nor one after the end.
func TestRunsAll(t *testing.T) {
	p := warm.Pool{Most: 2}
	defer p.Close()
	const each, askers = 2000, 4
	var all, asking sync.WaitGroup
	var mu sync.Mutex
	ran := 0
	one := func() {
		defer all.Done()
		mu.Lock()
		defer mu.Unlock()
		ran++
	}
	for range askers {
		asking.Go(func() {
			for range each {
				all.Add(1)
				p.Go(one)
			}
		})
	}
	asking.Wait()
	p.Close()
	all.Add(1)
	p.Go(one)
	all.Wait()
	if ran != each*askers+1 {
		t.Errorf("%d ran, want %d", ran, each*askers+1)
	}
}

// A function may end its goroutine: the next one runs on another.
func TestGoexit(t *testing.T) {
	p := warm.Pool{Most: 1}
	defer p.Close()
	for n := range 3 {
		done := make(chan int, 1)
		p.Go(func() { defer func() { done <- n }(); runtime.Goexit() })
		if got := <-done; got != n {
			t.Errorf("function %d ran in the place of %d", got, n)
		}
	}
}

func BenchmarkGo(b *testing.B) {
	for name, most := range map[string]int{"kept": 2, "new": 0} {
		b.Run(name, func(b *testing.B) {
			p := warm.Pool{Most: most}
			defer p.Close()
			done := make(chan byte)
			f := func() { done <- deep(12) }
			b.ReportAllocs()
			for b.Loop() {
				p.Go(f)
				<-done
			}
		})
	}
}

// deep needs about n KiB of stack.
//
//go:noinline
func deep(n int) byte {
	var frame [1 << 10]byte
	frame[n] = 1
	if n == 0 {
		return frame[0]
	}
	return deep(n-1) + frame[n]
}
