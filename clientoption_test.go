package comm_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/anasamu/comm"
)

// routedCarrier is a carrier that keeps the last frame it was given, and says welcome first.
type routedCarrier struct {
	welcomed bool
	sent     chan *comm.Frame
}

func (*routedCarrier) Name() string { return "routed" }

func (c *routedCarrier) Dial(context.Context, *comm.Frame) (comm.Carrier, error) { return c, nil }

func (c *routedCarrier) Send(_ context.Context, f *comm.Frame) error {
	c.sent <- f
	return nil
}

func (c *routedCarrier) Receive(ctx context.Context) (*comm.Frame, error) {
	if !c.welcomed {
		c.welcomed = true
		return &comm.Frame{Op: comm.OpWelcome, Welcome: &comm.Welcome{Version: 1, Conn: "c"}}, nil
	}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (*routedCarrier) Close(context.Context) error { return nil }

// The options of a client's send reach the carrier, and those that only a server has are refused by name.
func TestClientSendOptions(t *testing.T) {
	t.Parallel()
	carrier := &routedCarrier{sent: make(chan *comm.Frame, 1)}
	c, err := comm.NewClient([]comm.Dialer{carrier})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	m, err := comm.NewMessage("n", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(ctx, m); err != nil {
		t.Fatal(err)
	}
	if f := <-carrier.sent; f.Route != nil {
		t.Errorf("a plain send has the route %+v", f.Route)
	}
	if err := c.Send(ctx, m, comm.WithLane("files"), comm.WithPriority(comm.PriorityHigh), comm.WithUnreliable()); err != nil {
		t.Fatal(err)
	}
	want := comm.Route{Lane: "files", Priority: comm.PriorityHigh, Unreliable: true}
	if f := <-carrier.sent; f.Route == nil || *f.Route != want {
		t.Errorf("route %+v, want %+v", f.Route, want)
	}
	for _, o := range []comm.SendOption{comm.WithAck(), comm.WithKey("k"), comm.WithBlock(), comm.WithoutHistory(), nil} {
		if err := c.Send(ctx, m, o); !isOption(err) {
			t.Errorf("got %v, want an *OptionError", err)
		}
		if err := c.SendAck(ctx, m, o); !isOption(err) {
			t.Errorf("SendAck: got %v, want an *OptionError", err)
		}
	}
}

func isOption(err error) bool {
	_, ok := errors.AsType[*comm.OptionError](err)
	return ok
}

// What would fail at every attempt fails at once.
func TestClientOptionsAreChecked(t *testing.T) {
	t.Parallel()
	dialers := []comm.Dialer{&routedCarrier{}}
	for name, tt := range map[string]struct {
		opt  comm.ClientOption
		want string
	}{
		"no time":        {comm.WithConnectTimeout(0), "comm: WithConnectTimeout(0s): allowed is more than 0"},
		"no patience":    {comm.WithRequestTimeout(0), "comm: WithRequestTimeout(0s): allowed is more than 0"},
		"close":          {comm.WithCloseTimeout(-1), "comm: WithCloseTimeout(-1ns): allowed is 0 or more"},
		"no calls":       {comm.WithCallConcurrency(0), "comm: WithCallConcurrency(0): allowed is 1 or more"},
		"no logger":      {comm.WithClientLogger(nil), "allowed is a logger"},
		"bad group":      {comm.WithGroups("a\nb"), "group"},
		"metadata":       {comm.WithHelloMetadata(map[string]string{"k": "a\nb"}), "metadata"},
		"too much of it": {comm.WithHelloMetadata(map[string]string{"k": strings.Repeat("x", 3<<10)}), "2 KiB"},
		"no option":      {nil, "allowed is options"},
	} {
		_, err := comm.NewClient(dialers, tt.opt)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := comm.NewClient(nil); err == nil {
		t.Error("a client without a dialer")
	}
}
