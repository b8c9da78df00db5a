package comm_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// The context of a connection, and of a handler of its, ends at the latest with the manager, with why as its cause,
// whoever is being admitted meanwhile.
func TestContextsEndWithTheManager(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		causes := make(chan error, 1)
		comm.On(m, "wait", func(ctx context.Context, _ *comm.Conn, _ *comm.Message) error {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil
		})
		c, _ := f.attach(t, comm.Handshake{})
		receive(t, f, c, comm.OpMessage, "1", "wait")
		synctest.Wait()
		host, begin := f.host(), make(chan struct{})
		var mu sync.Mutex
		var conns []*comm.Conn
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				<-begin
				if c, err := host.Attach(t.Context(), newPeer(), &comm.Handshake{}); err == nil {
					mu.Lock()
					defer mu.Unlock()
					conns = append(conns, c)
				}
			})
		}
		all.Go(func() {
			<-begin
			_ = m.Close()
		})
		close(begin)
		all.Wait()
		time.Sleep(time.Minute)
		for _, c := range conns {
			if c.Err() == nil {
				t.Error("a connection has outlived its manager")
			}
		}
		if _, ok := errors.AsType[comm.CloseReason](<-causes); !ok {
			t.Error("the handler's context has no reason")
		}
	})
}
