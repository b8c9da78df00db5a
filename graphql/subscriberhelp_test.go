package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

// hubOptions are a schema that takes what the hub sends to the connection of an operation.
func hubOptions() []graphql.Option {
	return []graphql.Option{
		graphql.SDL(`type Query { user: String conn: String ask(group: String!): String tell(n: Int!): Boolean } type Subscription { group(name: String!, after: String = ""): String frames: String answers: String slow: String }`),
		graphql.Resolve("Query.user", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (string, error) {
			t := graphql.TransportOf(ctx)
			id, _ := t.Handshake.Identity()
			if t.Manager == nil || t.Subscriber != nil && t.Subscriber.Conn() != t.Conn {
				return "", graphql.Errorf("no manager, or another connection")
			}
			return id.User, nil
		}),
		graphql.Resolve("Query.conn", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (string, error) {
			if c := graphql.TransportOf(ctx).Conn; c != nil {
				return c.ID(), nil
			}
			return "", nil
		}),
		graphql.Resolve("Query.ask", func(ctx context.Context, _ graphql.Root, a struct{ Group string }) (string, error) {
			f, err := comm.JSON().ParseFrame([]byte(`{"id":"1","type":"chat","content":"asked","to":"group:` + a.Group + `","ack":true}`))
			if err != nil {
				return "", err
			}
			f, err = graphql.TransportOf(ctx).Subscriber.Ask(ctx, f)
			if pe, ok := errors.AsType[*comm.PeerError](err); ok {
				return "", graphql.Errorf("refused: %s", pe.Code)
			}
			if err != nil {
				return "", err
			}
			return f.Op.String(), nil
		}),
		graphql.Resolve("Query.tell", func(ctx context.Context, _ graphql.Root, a struct{ N int }) (bool, error) {
			f, err := comm.JSON().ParseFrame(fmt.Appendf(nil, `{"type":"n","content":%d}`, a.N))
			if err != nil {
				return false, err
			}
			return true, graphql.TransportOf(ctx).Subscriber.Tell(ctx, f)
		}),
		graphql.Subscribe("Subscription.group", func(ctx context.Context, a struct{ Name, After string }) (iter.Seq2[string, error], error) {
			after, err := comm.ParsePosition(a.After)
			if err != nil {
				return nil, graphql.Errorf("%w", err)
			}
			frames, err := graphql.TransportOf(ctx).Subscriber.Join(ctx, a.Name, after)
			if pe, ok := errors.AsType[*comm.PeerError](err); ok {
				return nil, graphql.Errorf("refused: %s", pe.Code)
			}
			return shown(frames), err
		}),
		graphql.Subscribe("Subscription.frames", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
			frames, err := graphql.TransportOf(ctx).Subscriber.Frames(ctx, nil)
			return shown(frames), err
		}),
		graphql.Subscribe("Subscription.answers", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
			s := graphql.TransportOf(ctx).Subscriber
			frames, err := s.Frames(ctx, func(f *comm.Frame) bool { return f.Op == comm.OpCall })
			return func(yield func(string, error) bool) {
				for f := range frames {
					reply, err := comm.JSON().ParseFrame(fmt.Appendf(nil, `{"op":"reply","id":%q,"content":"told"}`, f.ID))
					if err == nil {
						err = s.Tell(ctx, reply)
					}
					if !yield(f.Message.Type(), err) {
						return
					}
				}
			}, err
		}),
		graphql.Subscribe("Subscription.slow", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
			frames, err := graphql.TransportOf(ctx).Subscriber.Frames(ctx, nil)
			return func(yield func(string, error) bool) {
				for range frames {
					<-ctx.Done()
				}
			}, err
		}),
	}
}

// shown is frames as texts: what they are, and the offset.
func shown(frames iter.Seq2[*comm.Frame, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for f, err := range frames {
			s := ""
			if err == nil {
				s = fmt.Sprintf("%s@%d", f.Op, f.Log.Offset)
				if f.Message != nil {
					s += " " + string(f.Message.Content())
				}
				if f.Op == comm.OpGap {
					s += fmt.Sprintf(" from %d", f.GapFrom)
				}
			} else {
				err = graphql.Errorf("over")
			}
			if !yield(strings.ReplaceAll(s, `"`, ""), err) {
				return
			}
		}
	}
}

// startHub is a gateway with that schema.
func startHub(t *testing.T, opts ...comm.Option) *gateway {
	t.Helper()
	m, err := comm.New(append([]comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(graphql.New(hubOptions()...)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if n := m.ConnectionCount(comm.ToAll()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	g := &gateway{Manager: m, t: t, client: http.DefaultClient}
	g.url = "http://" + g.host() + "/graphql"
	return g
}

func (g *gateway) post(to comm.Target, content string, opts ...comm.SendOption) comm.Delivery {
	g.t.Helper()
	m, err := comm.NewMessage("chat", content)
	if err != nil {
		g.t.Fatal(err)
	}
	d, err := g.Send(g.t.Context(), to, m, opts...)
	if err != nil {
		g.t.Fatal(err)
	}
	return d
}

// settle returns when the server has read all that was said; nothing more is said of operations that were completed.
func (c *wsClient) settle() {
	c.t.Helper()
	c.say(`{"type":"ping"}`)
	c.hears(`{"type":"pong"}`)
}

// reaches posts until an operation takes it.
func (g *gateway) reaches(to comm.Target, content string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	eventually(g.t, "somebody to take it", func() bool {
		_, err := g.post(to, content, comm.WithAck()).Pending.Wait(ctx)
		return err == nil
	})
}

func subscribe(c *wsClient, id, query string) {
	c.t.Helper()
	c.say(fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":{"query":%q}}`, id, query))
}

func next(id, field, text string) string {
	return fmt.Sprintf(`{"id":%q,"type":"next","payload":{"data":{%q:%q}}}`, id, field, text)
}

// one executes a query over the socket and returns its only string.
func (c *wsClient) one(query string) string {
	c.t.Helper()
	subscribe(c, "one", query)
	s := c.hear()
	c.hears(`{"id":"one","type":"complete"}`)
	parts := strings.Split(s, `"`)
	return parts[len(parts)-2]
}

var openAccess = comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
	if a.Group == "closed" {
		return comm.ErrForbidden
	}
	return nil
})

var tokenAuth = comm.WithAuthenticator(func(ctx context.Context, hs *comm.Handshake) (comm.Identity, error) {
	if hs.Token == "slow" {
		<-ctx.Done()
		return comm.Identity{}, ctx.Err()
	}
	if hs.Token == "" {
		return comm.Identity{}, errors.New("who is it")
	}
	return comm.Identity{User: hs.Token, Labels: map[string]string{"payload": string(graphql.TransportOf(ctx).InitPayload)}}, nil
})
