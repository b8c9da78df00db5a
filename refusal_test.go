package comm_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// What a carrier refuses is answered with a status, the headers that it wants, and an error frame that names the
// request's.
func TestWriteRefusal(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	comm.WriteRefusal(w, "h1", &comm.LimitError{Limit: "max_connections", Max: 1, Retry: 1500 * time.Millisecond})
	h := w.Header()
	if w.Code != 503 || h.Get("Retry-After") != "2" || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %v", w.Code, h)
	}
	f, err := comm.JSON().ParseFrame(w.Body.Bytes())
	if err != nil || f.Op != comm.OpError || f.ID != "h1" || f.Code != comm.CodeLimit || f.Text == "" {
		t.Errorf("%+v, %v", f, err)
	}
}

// A client about whom the service cannot decide is told to come again, by every carrier, and its address has not
// failed; one that is refused is told to stay away.
func TestRefusalsThatPass(t *testing.T) {
	t.Parallel()
	outOfTime := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, tt := range map[string]struct {
		err    func(ctx context.Context) error
		code   comm.Code
		status int
		kind   comm.ReasonKind
	}{
		"a limit":      {func(context.Context) error { return &comm.LimitError{Limit: "key server", Retry: time.Minute} }, comm.CodeLimit, 503, comm.ReasonTryLater},
		"out of time":  {outOfTime, comm.CodeLimit, 503, comm.ReasonTryLater},
		"a panic":      {func(context.Context) error { panic("on purpose") }, comm.CodeInternal, 500, comm.ReasonInternal},
		"its own word": {func(context.Context) error { return &comm.PeerError{Code: comm.CodeForbidden, Message: "banned"} }, comm.CodeForbidden, 403, comm.ReasonUnauthorized},
		"its word, too late": {func(ctx context.Context) error {
			return errors.Join(outOfTime(ctx), &comm.PeerError{Code: comm.CodeForbidden, Message: "banned"})
		}, comm.CodeForbidden, 403, comm.ReasonUnauthorized},
	} {
		for hook, opt := range map[string]comm.Option{
			"authenticator": comm.WithAuthenticator(func(ctx context.Context, _ *comm.Handshake) (comm.Identity, error) {
				return comm.Identity{User: "ann"}, tt.err(ctx)
			}),
			"OnConnect": comm.WithOnConnect(func(ctx context.Context, _ *comm.Handshake, _ *comm.Admission) error { return tt.err(ctx) }),
		} {
			t.Run(hook+"/"+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					_, f := gateway(t, opt, comm.WithFailedAuthBurst(1))
					for range 3 {
						start := time.Now()
						_, _, err := f.try(t, from("192.0.2.1"))
						if err == nil {
							t.Fatal("admitted")
						}
						if took := time.Since(start); took > 10*time.Second {
							t.Errorf("decided after %v, want within the handshake timeout", took)
						}
						if tt.code == comm.CodeForbidden && comm.HTTPStatus(err) == 503 {
							return // the address has failed too often by now
						}
						same(t, "code", comm.RefusalFrame("", err).Code, tt.code)
						same(t, "status", comm.HTTPStatus(err), tt.status)
						reason := comm.RefusalReason(err)
						same(t, "reason", reason.Kind, tt.kind)
						if limit, ok := errors.AsType[*comm.LimitError](err); ok {
							same(t, "time to wait", reason.After, limit.Retry)
						}
					}
				})
			})
		}
	}
}

// What a hook refuses a client for is for the service to see, not for the client.
func TestRefusalIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logs
		down := errors.New("no database at 192.0.2.7")
		hook := down
		_, f := gateway(t, out.logger(), comm.WithOnConnect(func(context.Context, *comm.Handshake, *comm.Admission) error { return hook }))
		_, _, err := f.try(t, from("192.0.2.1"))
		if !errors.Is(err, comm.ErrForbidden) || !errors.Is(err, down) {
			t.Errorf("refused with %v", err)
		}
		if text := comm.RefusalFrame("", err).Text; strings.Contains(text, "192.0.2.7") {
			t.Errorf("the client is told %q", text)
		}
		same(t, "warnings", len(out.with("error=\"no database at 192.0.2.7\"")), 1)
		hook = &comm.PeerError{Code: comm.CodeForbidden, Message: "banned"}
		f.try(t, from("192.0.2.1"))
		same(t, "warnings of what is meant for the client", len(out.with("OnConnect failed")), 1)
	})
}
