package comm_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// BenchmarkHandle is a message from the reader through the inbox to its handler, and what a bound on the handler's time
// costs beside it.
func BenchmarkHandle(b *testing.B) {
	for name, opts := range map[string][]comm.Option{
		"unbounded": nil,
		"timeout":   {comm.WithHandlerTimeout(time.Minute)},
	} {
		b.Run(name, func(b *testing.B) {
			m, f := gateway(b, append(opts, comm.WithMessageRate(100_000_000, 100_000_000))...)
			c, err := f.host().Attach(b.Context(), &swift{void{written: new(atomic.Int64)}}, &comm.Handshake{})
			if err != nil {
				b.Fatal(err)
			}
			var handled sync.WaitGroup
			comm.On(m, "n", func(context.Context, *comm.Conn, *comm.Message) error { handled.Done(); return nil })
			frame, host := &comm.Frame{Op: comm.OpMessage, ID: "m", Message: message(b, "n", nil)}, f.host()
			b.ReportAllocs()
			for b.Loop() {
				handled.Add(1)
				if err := host.Receive(c, frame); err != nil {
					b.Fatal(err)
				}
			}
			handled.Wait()
		})
	}
}
