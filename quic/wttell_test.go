package commquic_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	commquic "github.com/anasamu/comm/quic"
)

// countedControl is a control stream that counts writes.
type countedControl struct{ writes atomic.Int32 }

func (*countedControl) Read([]byte) (int, error) { return 0, context.Canceled }

func (c *countedControl) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return len(p), nil
}

func (*countedControl) Close() error                                    { return nil }
func (*countedControl) StreamID() quic.StreamID                         { return 0 }
func (*countedControl) SendDatagram([]byte) error                       { return nil }
func (*countedControl) ReceiveDatagram(context.Context) ([]byte, error) { return nil, context.Canceled }
func (*countedControl) CancelRead(quic.StreamErrorCode)                 {}
func (*countedControl) CancelWrite(quic.StreamErrorCode)                {}
func (*countedControl) SetReadDeadline(time.Time) error                 { return nil }
func (*countedControl) SetWriteDeadline(time.Time) error                { return nil }

// Credit that waits to be told when its session ends is not told: it would stand before the session's last words, with
// no deadline of its own.
func TestFlowIsNotToldAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, ends := range []bool{false, true} {
			control := new(countedControl)
			s := commquic.NewTellingSession(control)
			s.Hold()
			s.Use()
			synctest.Wait()
			if ends {
				s.EndLocally()
			}
			s.Release()
			s.Told()
			if got := control.writes.Load(); (got == 1) == ends {
				t.Errorf("ended %v: %d writes", ends, got)
			}
			s.EndLocally()
			s.Use()
			s.Told()
			if got := control.writes.Load(); (got == 1) == ends {
				t.Errorf("ended %v: %d writes behind the end", ends, got)
			}
		}
	})
}
