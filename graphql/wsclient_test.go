package graphql_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/ws"
)

// patience bounds every wait of a test on real sockets. That it is over is always a failure, so it is long.
const patience = time.Minute

const (
	newProtocol = "graphql-transport-ws"
	oldProtocol = "graphql-ws"
)

// newsroom is a schema with sources that tests steer.
type newsroom struct {
	mu    sync.Mutex
	open  int // sources whose loop has begun and not ended
	asked int // events that sources were asked for
}

func (n *newsroom) count(open, asked int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open += open
	n.asked += asked
}

func (n *newsroom) state() (open, asked int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open, n.asked
}

const newsSDL = `type Query { a: Int who: String slow: Int } type Mutation { b: Int }
type Subscription { count(to: Int! = 2): Int forever(pad: Int = 0): String refused: Int broken: Int }`

// options are the schema: count ends, forever does not.
func (n *newsroom) options() []graphql.Option {
	return []graphql.Option{
		graphql.SDL(newsSDL),
		value("Query.a", 1), value("Mutation.b", 2),
		graphql.Resolve("Query.who", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (string, error) {
			t := graphql.TransportOf(ctx)
			return fmt.Sprintf("%s %s %s", t.Name, t.Header.Get("X-Test"), t.InitPayload), nil
		}),
		graphql.Resolve("Query.slow", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (int, error) {
			n.count(1, 0)
			defer n.count(-1, 0)
			select {
			case <-time.After(300 * time.Millisecond):
				return 3, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}),
		graphql.Subscribe("Subscription.count", func(_ context.Context, a struct{ To int }) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				for i := 1; i <= a.To && yield(i, nil); i++ {
				}
			}, nil
		}),
		graphql.Subscribe("Subscription.forever", func(ctx context.Context, a struct{ Pad int }) (iter.Seq2[string, error], error) {
			return func(yield func(string, error) bool) {
				n.count(1, 0)
				defer n.count(-1, 0)
				for ctx.Err() == nil {
					n.count(0, 1)
					if !yield(strings.Repeat("x", a.Pad), nil) {
						return
					}
					if a.Pad == 0 {
						<-ctx.Done()
					}
				}
			}, nil
		}),
		graphql.Subscribe("Subscription.refused", func(context.Context, graphql.NoArgs) (iter.Seq2[int, error], error) {
			return nil, graphql.Errorf("no source")
		}),
		graphql.Subscribe("Subscription.broken", func(context.Context, graphql.NoArgs) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				_ = yield(0, graphql.Errorf("one event fails")) && yield(2, nil)
			}, nil
		}),
	}
}

func (n *newsroom) schema(t testing.TB) *graphql.Schema {
	t.Helper()
	var opts []graphql.SchemaOption
	for _, o := range n.options() {
		opts = append(opts, o.(graphql.SchemaOption))
	}
	return schema(t, opts...)
}

// serveNews serves the schema by a handler that stands alone, on a socket. Everybody must be gone when the test ends.
func serveNews(t *testing.T, opts ...graphql.HandlerOption) (n *newsroom, h *graphql.Handler, url string) {
	t.Helper()
	n = new(newsroom)
	h, err := graphql.NewHandler(n.schema(t), opts...)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		srv.Close()
		if open, _ := n.state(); open != 0 {
			t.Errorf("%d sources are open after the end", open)
		}
	})
	return n, h, srv.URL
}

// eventually waits for ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for: %s", what)
		}
	}
}

// wsClient speaks raw messages.
type wsClient struct {
	t testing.TB
	*ws.Conn
	patience time.Duration // of hear
}

// dialWS connects; dial may be nil.
func dialWS(t testing.TB, url string, dial func(context.Context, string, string) (net.Conn, error), protocols ...string) *wsClient {
	t.Helper()
	opts := []ws.DialOption{ws.WithHeader(http.Header{"X-Test": {"seen"}}), ws.WithoutHeartbeat()}
	if len(protocols) > 0 {
		opts = append(opts, ws.WithSubprotocols(protocols...))
	}
	if dial != nil {
		opts = append(opts, ws.WithNetDial(dial))
	}
	c, _, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return &wsClient{t, c, patience}
}

// say sends a message; a client that the server is closing may fail.
func (c *wsClient) say(message string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), ws.Text, []byte(message)); err != nil && c.Err() == nil {
		c.t.Fatal(err)
	}
}

// hear returns the next message, or how the connection was closed.
func (c *wsClient) hear() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), c.patience)
	defer cancel()
	_, b, err := c.Read(ctx, nil)
	if err == nil {
		if !json.Valid(b) {
			c.t.Fatalf("not JSON: %s", b)
		}
		return string(b)
	}
	ce, ok := errors.AsType[*ws.CloseError](err)
	if !ok {
		c.t.Fatalf("hear: %v", err)
	}
	return fmt.Sprintf("close %d %s", ce.Code, ce.Reason)
}

// hears expects messages, in their order.
func (c *wsClient) hears(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		if got := c.hear(); got != want {
			c.t.Fatalf("heard %s\n want %s", got, want)
		}
	}
}

// initWS connects and is acknowledged.
func initWS(t testing.TB, url string, dial func(context.Context, string, string) (net.Conn, error)) *wsClient {
	t.Helper()
	c := dialWS(t, url, dial, newProtocol)
	c.say(`{"type":"connection_init"}`)
	c.hears(`{"type":"connection_ack"}`)
	return c
}
