package ws_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// inMemory runs a gateway in a synctest bubble.
func inMemory(t *testing.T, opts ...comm.Option) *comm.Manager {
	t.Helper()
	m, err := comm.New(append([]comm.Option{
		comm.WithInMemory(), comm.WithProvider(ws.New()), comm.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// busyFor is why a client is refused for now.
func busyFor(d time.Duration) error { return &comm.LimitError{Limit: "seats", Max: 3, Retry: d} }

// A refusal that passes says when to come again: in the header before the upgrade, in the closing frame behind it.
func TestRefusalSaysWhenToReturn(t *testing.T) {
	busy := busyFor(6500 * time.Millisecond)
	hooks := map[string]comm.Option{
		"authenticator": comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) { return comm.Identity{}, busy }),
		"OnConnect":     comm.WithOnConnect(func(context.Context, *comm.Handshake, *comm.Admission) error { return busy }),
	}
	for hook, opt := range hooks {
		for _, hello := range []bool{false, true} {
			t.Run(fmt.Sprint(hook, "/hello ", hello), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := inMemory(t, opt)
					opts := []ws.DialOption{ws.WithNetDial(m.DialContext)}
					if hello {
						opts = append(opts, ws.WithSubprotocols("comm.v1.json"))
					}
					c, resp, err := ws.Dial(t.Context(), "ws://gateway/ws", opts...)
					if hook == "authenticator" && !hello {
						if err == nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "7" {
							t.Errorf("%v, %+v", err, resp)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if hello {
						writeText(t, c, `{"op":"hello","id":"h1"}`)
					}
					if got := readText(t, c); !strings.Contains(got, `"code":"limit"`) || !strings.Contains(got, "seats: at most 3") {
						t.Errorf("error frame %s", got)
					}
					if got := readText(t, c); !strings.Contains(got, `{"op":"closing","code":"try_later"`) || !strings.Contains(got, `"reconnect":true,"after":6500`) {
						t.Errorf("closing frame %s", got)
					}
					_, _, err = c.Read(t.Context(), nil)
					if ce, ok := errors.AsType[*ws.CloseError](err); !ok || ce.Code != ws.StatusTryAgainLater {
						t.Errorf("ended with %v", err)
					}
				})
			})
		}
	}
}

// A handshake that the end of the provider has overtaken is told to come again.
func TestStoppingSaysWhenToReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, decide := make(chan struct{}), make(chan struct{})
		m := inMemory(t, comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
			close(asked)
			<-decide
			return comm.Identity{}, nil
		}))
		refused := make(chan *http.Response, 1)
		go func() {
			_, resp, _ := ws.Dial(t.Context(), "ws://gateway/ws", ws.WithNetDial(m.DialContext))
			refused <- resp
		}()
		<-asked
		stopped := make(chan error, 1)
		go func() { stopped <- m.Drain(t.Context()) }()
		time.Sleep(time.Millisecond)
		close(decide)
		if resp := <-refused; resp == nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%+v", resp)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// A refusal for good is told as before, without a closing frame.
func TestFinalRefusalHasNoClosingFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
			return comm.Identity{}, errors.New("no")
		}))
		c, _, err := ws.Dial(t.Context(), "ws://gateway/ws", ws.WithNetDial(m.DialContext), ws.WithSubprotocols("comm.v1.json"))
		if err != nil {
			t.Fatal(err)
		}
		writeText(t, c, `{"op":"hello"}`)
		if got := readText(t, c); !strings.Contains(got, `"code":"unauthenticated"`) {
			t.Errorf("error frame %s", got)
		}
		_, _, err = c.Read(t.Context(), nil)
		if ce, ok := errors.AsType[*ws.CloseError](err); !ok || ce.Code != ws.StatusPolicyViolation {
			t.Errorf("ended with %v", err)
		}
	})
}

// waits runs a client until it waits for the next attempt, and returns that step.
func waits(t *testing.T, url string, opts ...ws.DialOption) comm.StateChange {
	t.Helper()
	steps := make(chan comm.StateChange, 100)
	c, err := comm.NewClient([]comm.Dialer{ws.Dialer(url, opts...)},
		comm.WithBackoff(comm.Backoff{Base: time.Millisecond, Max: time.Millisecond}),
		comm.WithOnState(func(s comm.StateChange) { steps <- s }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	defer func() { stop(); <-ran }()
	for {
		select {
		case s := <-steps:
			if s.State == comm.ClientWaiting || s.State == comm.ClientClosed {
				return s
			}
		case <-time.After(time.Minute):
			t.Fatal("the client neither waits nor ends")
		}
	}
}

// A client that is told after its hello when to return waits so long, and knows why.
func TestClientWaitsAsLongAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, comm.WithOnConnect(func(context.Context, *comm.Handshake, *comm.Admission) error { return busyFor(6500 * time.Millisecond) }))
		start := time.Now()
		s := waits(t, "ws://gateway/ws", ws.WithNetDial(m.DialContext))
		if s.State != comm.ClientWaiting || s.Wait != 6500*time.Millisecond {
			t.Errorf("%+v", s)
		}
		if pe, ok := errors.AsType[*comm.PeerError](s.Err); !ok || pe.Code != comm.CodeLimit || !strings.Contains(pe.Message, "seats") {
			t.Errorf("because of %v", s.Err)
		}
		if comm.ReasonOf(s.Err) != comm.ReasonTryLater {
			t.Errorf("reason %v", comm.ReasonOf(s.Err))
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v to know", took)
		}
	})
}

// Before the upgrade the header says it: in seconds or by a date, by the gateway or by what stands before it.
func TestClientWaitsForRetryAfter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status      int
		after, body string
		least, most time.Duration
		text        string
	}{
		"seconds": {503, "7", "", 7 * time.Second, 7 * time.Second, "the server refuses connections"},
		"gateway": {503, "7", `{"op":"error","code":"limit","message":"seats: at most 3"}`, 7 * time.Second, 7 * time.Second, "seats: at most 3"},
		"429":     {429, "7", "slow down", 7 * time.Second, 7 * time.Second, "the server refuses connections"},
		"date":    {503, time.Now().Add(time.Hour / 12).UTC().Format(http.TimeFormat), "", 4 * time.Minute, 5 * time.Minute, "refuses"},
		"a day":   {503, "86400", "", 10 * time.Minute, 10 * time.Minute, "refuses"},
		"nothing": {503, "", "", 0, time.Millisecond, "refuses"},
		"other":   {500, "7", "", 0, time.Millisecond, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			}))
			defer s.Close()
			step := waits(t, "ws"+strings.TrimPrefix(s.URL, "http")+"/ws")
			if step.State != comm.ClientWaiting || step.Wait < tt.least || step.Wait > tt.most || !strings.Contains(step.Err.Error(), tt.text) {
				t.Errorf("%+v", step)
			}
		})
	}
}
