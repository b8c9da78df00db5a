package comm_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// A resume window without an end is one, and not one that has passed.
func TestResumeWindowForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithResumeWindow(math.MaxInt64), comm.WithLogs(true, false, false))
		c, _ := f.attach(t, comm.Handshake{Hello: &comm.Hello{Groups: []string{"lobby"}}})
		if err := c.Join("lobby"); err != nil {
			t.Fatal(err)
		}
		at := send(t, m, comm.ToGroup("lobby"), message(t, "a", nil)).Position
		synctest.Wait()
		f.host().Detach(c, comm.CloseReason{Kind: comm.ReasonLost})
		time.Sleep(100 * time.Hour)
		again, _ := f.attach(t, comm.Handshake{Hello: &comm.Hello{Session: c.Session()}})
		same(t, "resumed", again.Resumed(), true)
		same(t, "the log's epoch", send(t, m, comm.ToGroup("lobby"), message(t, "b", nil)).Position.Epoch, at.Epoch)
	})
}

// How long a connection lasted does not depend on a wall clock that somebody sets meanwhile.
func TestSinceIsMonotonic(t *testing.T) {
	_, f := gateway(t)
	c, _ := f.attach(t, comm.Handshake{})
	if s := c.Since().String(); !strings.Contains(s, " m=") {
		t.Errorf("since %s, which has no monotonic clock reading", s)
	}
	if d := time.Since(c.Since()); d < 0 || d > time.Minute {
		t.Errorf("%v ago", d)
	}
}

// What an authorizer is shown of a client that is no connection was never admitted.
func TestSinceOfACaller(t *testing.T) {
	var since time.Time
	_, f := gateway(t, comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, _ comm.Access) error {
		since = c.Since()
		return nil
	}))
	since = time.Now()
	if err := f.host().Authorize(t.Context(), &comm.Handshake{}, comm.Access{Action: comm.ActionInvoke, Method: "/a.B/C"}); err != nil {
		t.Fatal(err)
	}
	same(t, "since", since, time.Time{})
}
