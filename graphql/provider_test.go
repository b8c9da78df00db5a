package graphql_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

// gateway is a manager with the provider, on a socket.
type gateway struct {
	*comm.Manager
	t      *testing.T
	url    string
	client *http.Client
}

func apiOptions() []graphql.Option {
	return []graphql.Option{
		graphql.SDL(`scalar Upload type Query { me: String a: Int next: Query bad: Int meet(n: Int! = 2): Int sent(file: Upload): Boolean }`),
		graphql.Get("Query.a", func(graphql.Root) int { return 1 }),
		graphql.Get("Query.next", func(graphql.Root) *graphql.Root { return new(graphql.Root) }),
		graphql.Resolve("Query.bad", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 0, errors.New("bad") }),
		graphql.Resolve("Query.meet", meeting()),
		graphql.GetWith("Query.sent", func(_ graphql.Root, a struct{ File *graphql.Upload }) bool { return a.File != nil }),
		graphql.Resolve("Query.me", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (string, error) {
			id, ok := graphql.TransportOf(ctx).Handshake.Identity()
			if !ok {
				return "", errors.New("nobody has authenticated")
			}
			return id.User, nil
		}),
	}
}

// meeting waits until as many as n calls wait at once.
func meeting() func(context.Context, graphql.Root, struct{ N int }) (int, error) {
	var there atomic.Int32
	met := make(chan struct{})
	return func(ctx context.Context, _ graphql.Root, a struct{ N int }) (int, error) {
		if int(there.Add(1)) == a.N {
			close(met)
		}
		select {
		case <-met:
			return a.N, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func startGateway(t *testing.T, own []graphql.Option, opts ...comm.Option) *gateway {
	t.Helper()
	g := &gateway{t: t}
	var err error
	g.Manager, err = comm.New(append([]comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(graphql.New(append(apiOptions(), own...)...)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.url = "http://" + g.host() + "/graphql"
	tr := &http.Transport{}
	g.client = &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *gateway) host() string {
	addrs, err := g.Addrs("graphql")
	if err != nil || len(addrs) != 1 {
		g.t.Fatal(addrs, err)
	}
	return addrs[0]
}

func (g *gateway) do(method, url, body string, header ...string) reply {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := g.client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

func (g *gateway) ask(query string, header ...string) reply {
	g.t.Helper()
	return g.do("POST", g.url, `{"query":`+strconv.Quote(query)+`}`, append([]string{"Content-Type", "application/json"}, header...)...)
}

func TestProvider(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil, comm.WithAllowedOrigins("https://app.example.com"), comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		if hs.Token != "secret" || hs.Provider() != "graphql" {
			return comm.Identity{}, comm.ErrUnauthenticated
		}
		return comm.Identity{User: "ann"}, nil
	}))
	if r := g.ask(`{ me }`, "Authorization", "Bearer secret"); r.status != 200 || r.body != `{"data":{"me":"ann"}}` {
		t.Error(r)
	}
	if r := g.ask(`{ me }`); r.status != 401 || r.header.Get("WWW-Authenticate") == "" || !strings.HasPrefix(r.body, `{"errors":[{"message":`) {
		t.Error(r)
	}
	if r := g.ask(`{ a }`, "Authorization", "Bearer secret", "Origin", "https://evil.example.com"); r.status != 403 || r.header.Get("Access-Control-Allow-Origin") != "" || strings.Contains(r.body, "data") {
		t.Error(r)
	}
	if r := g.ask(`{ a }`, "Authorization", "Bearer secret", "Origin", "https://app.example.com"); r.status != 200 || r.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || r.header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Error(r)
	}
	if r := g.do("OPTIONS", g.url, "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST"); r.status != 204 || !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Content-Type") || r.header.Get("Access-Control-Allow-Methods") != "GET, POST, PUT, DELETE, OPTIONS" {
		t.Error(r)
	}
	if r := g.do("GET", g.url+"/below", ""); r.status != 404 {
		t.Error(r)
	}
	if list, err := g.Features("graphql"); err != nil || !slices.Contains(list, comm.FeatureBodyParsing) {
		t.Error(list, err)
	}
}

// A drain answers what is under way, and nothing that comes later.
func TestProviderDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered := make(chan struct{})
		gw, err := comm.New(comm.WithInMemory(), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(graphql.New(
			graphql.SDL(`type Query { wait: Int }`),
			graphql.Resolve("Query.wait", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (int, error) {
				close(entered)
				select {
				case <-ctx.Done():
					return 0, ctx.Err()
				case <-time.After(5 * time.Second):
					return 7, nil
				}
			}),
		)))
		if err != nil {
			t.Fatal(err)
		}
		if err := gw.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr := &http.Transport{DialContext: gw.DialContext}
		defer tr.CloseIdleConnections()
		g := &gateway{t: t, url: "http://gateway/graphql", client: &http.Client{Transport: tr}}
		answer := make(chan reply, 1)
		go func() { answer <- g.ask(`{ wait }`) }()
		<-entered
		began := time.Now()
		if err := gw.Stop(t.Context()); err != nil || time.Since(began) < 5*time.Second {
			t.Error(err, time.Since(began))
		}
		if r := <-answer; r.status != 200 || r.body != `{"data":{"wait":7}}` {
			t.Error(r)
		}
		if err := gw.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestBadProviderOptions(t *testing.T) {
	t.Parallel()
	_, err := comm.New(comm.WithInMemory(), comm.WithProvider(graphql.New(
		nil, graphql.SDL(`type Query { a: Int }`), graphql.WithPath("x"), graphql.WithAddr("nowhere"), graphql.WithPort(70000), graphql.WithTLS(nil),
		graphql.WithMaxBody(0), graphql.WithPlaygroundFS(nil),
	)))
	for _, part := range []string{"option is nil", `path "x"`, `WithAddr("nowhere")`, "WithPort(70000)", "WithTLS(nil)", "Query.a has no resolver", "WithPlaygroundFS(nil)"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not in: %v", part, err)
		}
	}
	_, err = comm.New(comm.WithInMemory(), comm.WithProvider(graphql.New(append(apiOptions(), graphql.WithTLS(new(tls.Config)))...)))
	if err == nil || !strings.Contains(err.Error(), "address of the provider's own") {
		t.Error(err)
	}
	p := graphql.New(apiOptions()...)
	if _, err := comm.New(comm.WithInMemory(), comm.WithProvider(p)); err != nil || p.Schema() == nil {
		t.Error(err)
	}
	if _, err := comm.New(comm.WithInMemory(), comm.WithProvider(p)); err == nil {
		t.Error("a provider serves two managers")
	}
}

// Options say the same as the keys, and win over them.
func TestOptionsWin(t *testing.T) {
	t.Parallel()
	g := startGateway(t, []graphql.Option{
		graphql.WithHost("127.0.0.1"), graphql.WithPort(0), graphql.WithPath("/graphql"), graphql.WithEnableIntrospection(true), graphql.WithEnablePlayground(false),
	}, configured("environment", map[string]string{"host": "127.0.0.3", "path": "/other", "enable_introspection": "false", "enable_playground": "true"}))
	if r := g.ask(`{ __schema { description } }`); !strings.HasPrefix(g.host(), "127.0.0.1:") || r.body != `{"data":{"__schema":{"description":null}}}` {
		t.Error(g.host(), r)
	}
	if r := g.do("GET", g.url+"/playground/", ""); r.status != 404 {
		t.Error(r)
	}
	l := startGateway(t, []graphql.Option{graphql.WithLimits(graphql.Limits{Depth: 2})}, configured("environment", map[string]string{"max_depth": "1", "max_aliases": "1"}))
	if r := l.ask(`{ next { a } x: a }`); r.body != `{"data":{"next":{"a":1},"x":1}}` {
		t.Error(r)
	}
	if r := l.ask(`{ x: a y: a }`); !strings.Contains(r.body, "limit of 1 aliases") {
		t.Error(r)
	}
	fs := startGateway(t, []graphql.Option{graphql.WithPlaygroundFS(fstest.MapFS{"index.html": {Data: []byte("<p>mine")}, "x.js": {Data: []byte("1")}})})
	if r := fs.do("GET", fs.url+"/playground/", ""); r.body != "<p>mine" {
		t.Error(r)
	}
	if r := fs.do("GET", fs.url+"/playground/x.js", ""); r.body != "1" {
		t.Error(r)
	}
}
