package comm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// asked are the requests of a client that the authorizer is asked about, by what they do.
func asked(t *testing.T, f *fake, c *comm.Conn) map[comm.Action]func() {
	frame := func(f *fake, fr *comm.Frame) func() {
		return func() {
			if err := f.host().Receive(c, fr); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
	}
	return map[comm.Action]func(){
		comm.ActionJoin:     frame(f, &comm.Frame{Op: comm.OpJoin, ID: "r", Group: "lobby"}),
		comm.ActionPresence: frame(f, &comm.Frame{Op: comm.OpPresence, ID: "r", Group: "lobby"}),
		comm.ActionList:     frame(f, &comm.Frame{Op: comm.OpList, ID: "r", Target: "group:lobby"}),
		comm.ActionClose:    frame(f, &comm.Frame{Op: comm.OpClose, ID: "r", Target: "conn:nobody"}),
	}
}

// decisions counts what the statistics say of the authorizer.
func decisions(t *testing.T, m *comm.Manager) (denied, failed int64) {
	t.Helper()
	s, err := m.Stats("fake")
	if err != nil {
		t.Fatal(err)
	}
	return s.AccessDenied, s.AccessFailed
}

// A failure of the authorizer is told to the client as internal, logged once, and counted; a refusal is counted alone.
func TestAuthorizerFailuresAreLogged(t *testing.T) {
	down := errors.New("no policies at 192.0.2.7")
	for name, tt := range map[string]struct {
		decide           func(ctx context.Context) error
		code             comm.Code
		warned, panicked int
		denied, failed   int64
	}{
		"fails":     {func(context.Context) error { return down }, comm.CodeInternal, 1, 0, 0, 1},
		"is late":   {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, comm.CodeTimeout, 1, 0, 0, 1},
		"panics":    {func(context.Context) error { panic("on purpose") }, comm.CodeInternal, 0, 1, 0, 1},
		"refuses":   {func(context.Context) error { return fmt.Errorf("%w: no", comm.ErrForbidden) }, comm.CodeForbidden, 0, 0, 1, 0},
		"says more": {func(context.Context) error { return &comm.PeerError{Code: "paused", Message: "later"} }, "paused", 0, 0, 1, 0},
	} {
		for _, action := range []comm.Action{comm.ActionJoin, comm.ActionPresence, comm.ActionList, comm.ActionClose} {
			t.Run(name+"/"+string(action), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var out logs
					m, f := gateway(t, out.logger(), tokenIsUser(), comm.WithHandlerTimeout(time.Second),
						comm.WithAuthorizer(func(ctx context.Context, _ *comm.Conn, _ comm.Access) error { return tt.decide(ctx) }))
					c, p := f.attach(t, as("ann"))
					asked(t, f, c)[action]()
					time.Sleep(2 * time.Second)
					synctest.Wait()
					list := p.got(comm.OpError)
					if len(list) != 1 || list[0].Code != tt.code || list[0].ID != "r" || strings.Contains(list[0].Text, "192.0.2.7") {
						t.Fatalf("answered %+v", list)
					}
					lines := out.with("authorizer failed")
					same(t, "warnings", len(lines), tt.warned)
					for _, line := range lines {
						for _, part := range []string{"level=WARN", "provider=fake", "conn=" + c.ID(), "user=ann", "action=" + string(action), "error="} {
							if !strings.Contains(line, part) {
								t.Errorf("no %s in %s", part, line)
							}
						}
					}
					same(t, "panics", len(out.with("authorizer panicked")), tt.panicked)
					denied, failed := decisions(t, m)
					same(t, "denied and failed", []int64{denied, failed}, []int64{tt.denied, tt.failed})
				})
			})
		}
	}
}

// Those that ask by other ways than a frame are told of too: the groups of a hello, code in the client's name, calls of
// those that are no connection, and a message that goes to others, which is logged as any that fails.
func TestAuthorizerFailuresByOtherWays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logs
		m, f := gateway(t, out.logger(), comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { return errors.New("down") }))
		c, _ := f.attach(t, comm.Handshake{Hello: &comm.Hello{Groups: []string{"lobby"}}})
		synctest.Wait()
		same(t, "after the hello", len(out.with(`msg="authorizer failed"`)), 1)
		contains(t, c.Authorize(comm.Access{Action: comm.ActionList, Target: comm.ToAll()}), "down")
		same(t, "after Conn.Authorize", len(out.with(`msg="authorizer failed"`)), 2)
		contains(t, f.host().Authorize(t.Context(), &comm.Handshake{}, comm.Access{Action: comm.ActionInvoke, Method: "/a.B/C"}), "down")
		same(t, "after Host.Authorize", len(out.with("method=/a.B/C")), 1)
		frame, err := comm.JSON().ParseFrame([]byte(`{"id":"m1","type":"n","to":"all"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.host().Receive(c, frame); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		same(t, "after a message to all", []int{len(out.with("authorizer failed")), len(out.with("handler failed"))}, []int{3, 1})
		denied, failed := decisions(t, m)
		same(t, "denied and failed", []int64{denied, failed}, []int64{0, 4})
	})
}

// What fails because the client has gone is no failure of the service, by whichever error the authorizer says so.
func TestAuthorizerOfAClientThatHasGone(t *testing.T) {
	for name, said := range map[string]func(context.Context) error{"error": context.Context.Err, "cause": context.Cause} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var out logs
				m, f := gateway(t, out.logger(), comm.WithAuthorizer(func(ctx context.Context, _ *comm.Conn, _ comm.Access) error {
					<-ctx.Done()
					return said(ctx)
				}))
				c, _ := f.attach(t, comm.Handshake{})
				asked(t, f, c)[comm.ActionJoin]()
				f.host().Detach(c, comm.CloseReason{Kind: comm.ReasonLost})
				synctest.Wait()
				same(t, "lines", len(out.with("authorizer failed")), 0)
				denied, failed := decisions(t, m)
				same(t, "denied and failed", []int64{denied, failed}, []int64{0, 0})
			})
		})
	}
}

// WithHandlerTimeout bounds the authorizer for those that are no connections as for those that are.
func TestHandlerTimeoutBoundsTheAuthorizerOfCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithHandlerTimeout(3*time.Second), comm.WithAuthorizer(func(ctx context.Context, _ *comm.Conn, _ comm.Access) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}))
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := f.host().Authorize(ctx, &comm.Handshake{}, comm.Access{Action: comm.ActionInvoke, Method: "/a.B/C"})
		if !errors.Is(err, comm.ErrHandlerTimeout) {
			t.Error(err)
		}
		same(t, "took", time.Since(start), 3*time.Second)
		denied, failed := decisions(t, m)
		same(t, "denied and failed", []int64{denied, failed}, []int64{0, 1})
	})
}

// Without an authorizer everything is refused, and counted.
func TestAccessWithoutAnAuthorizer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, _ := f.attach(t, comm.Handshake{})
		for _, ask := range asked(t, f, c) {
			ask()
		}
		if err := f.host().Authorize(t.Context(), &comm.Handshake{}, comm.Access{Action: comm.ActionInvoke, Method: "/a.B/C"}); !errors.Is(err, comm.ErrForbidden) {
			t.Error(err)
		}
		denied, failed := decisions(t, m)
		same(t, "denied and failed", []int64{denied, failed}, []int64{5, 0})
		w := httptest.NewRecorder()
		m.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for _, line := range []string{"comm_access_denied_total{provider=\"fake\"} 5\n", "comm_access_failed_total{provider=\"fake\"} 0\n"} {
			if !strings.Contains(w.Body.String(), line) {
				t.Errorf("no %q in\n%s", line, w.Body)
			}
		}
	})
}

// A target that names nothing is refused with what is allowed in its place.
func TestWrongTargetsAreExplained(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithOpenAccess())
		c, p := f.attach(t, comm.Handshake{})
		for i, tt := range []struct{ frame, want string }{
			{`{"id":"%d","type":"n","to":"group:"}`, `no target: "group:": allowed is conn:ID, user:NAME, group:NAME or all`},
			{`{"op":"list","id":"%d","target":"lobby"}`, `no target: "lobby": allowed is conn:ID, user:NAME, group:NAME or all`},
			{`{"op":"close","id":"%d","target":""}`, `no target: "": allowed is conn:ID, user:NAME, group:NAME or all`},
			{`{"op":"close","id":"%d","target":"all"}`, "no target: close takes conn:ID"},
			{`{"op":"call","id":"%d","type":"n","to":"all"}`, "no target: a call takes conn:ID"},
		} {
			frame, err := comm.JSON().ParseFrame(fmt.Appendf(nil, tt.frame, i))
			if err != nil {
				t.Fatalf("%s: %v", tt.frame, err)
			}
			if err := f.host().Receive(c, frame); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			list := p.got(comm.OpError)
			last := list[len(list)-1]
			same(t, tt.frame, fmt.Sprint(last.ID, " ", last.Code, " ", last.Text), fmt.Sprint(i, " not_found ", tt.want))
		}
	})
}
