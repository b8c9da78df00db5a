package comm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/ws"
)

// Chat is the content of the examples' messages.
type Chat struct {
	Room string `json:"room"`
	Text string `json:"text"`
}

// memoryGateway is a gateway that opens no socket, and how to end it.
func memoryGateway(opts ...comm.Option) (gw *comm.Manager, end func()) {
	gw, err := comm.New(append([]comm.Option{
		comm.WithInMemory(),
		comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithProvider(ws.New()),
	}, opts...)...)
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error)
	if err := gw.Start(ctx); err != nil {
		panic(err)
	}
	go func() { ran <- gw.Run(ctx) }()
	return gw, func() { stop(); <-ran }
}

// memoryClient is a client of a gateway in memory, and how to end it.
func memoryClient(gw *comm.Manager, opts ...comm.ClientOption) (c *comm.Client, end func()) {
	c, err := comm.NewClient([]comm.Dialer{ws.Dialer("ws://gateway/ws", ws.WithNetDial(gw.DialContext))}, opts...)
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error)
	go func() { ran <- c.Run(ctx) }()
	return c, func() { stop(); <-ran }
}

// A gateway is made of options, runs until its context ends, and drains.
func Example() {
	gw, err := comm.New(
		comm.WithInMemory(), // or comm.WithAddr(":8080")
		comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithProvider(ws.New(), commhttp.New()),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	fmt.Println(gw.Providers(), gw.Run(ctx))
	// Output: [websocket http] <nil>
}

// Handlers receive the content as the type they name.
func ExampleOn() {
	gw, end := memoryGateway()
	defer end()
	comm.On(gw, "chat.message", func(_ context.Context, c *comm.Conn, chat Chat) error {
		fmt.Println(c.Provider(), chat.Room, chat.Text)
		return nil
	})
	client, hangUp := memoryClient(gw)
	defer hangUp()
	msg, _ := comm.NewMessage("chat.message", Chat{"lobby", "hello"})
	fmt.Println(client.SendAck(context.Background(), msg))
	// Output:
	// websocket lobby hello
	// <nil>
}

// What OnCall's function returns is the reply.
func ExampleOnCall() {
	gw, end := memoryGateway()
	defer end()
	comm.OnCall(gw, "sum", func(_ context.Context, _ *comm.Conn, numbers []int) (int, error) {
		if len(numbers) == 0 {
			return 0, &comm.PeerError{Code: comm.CodeBadMessage, Message: "nothing to add"}
		}
		sum := 0
		for _, n := range numbers {
			sum += n
		}
		return sum, nil
	})
	client, hangUp := memoryClient(gw)
	defer hangUp()
	for _, numbers := range [][]int{{1, 2, 3}, {}} {
		msg, _ := comm.NewMessage("sum", numbers)
		reply, err := client.Call(context.Background(), msg)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(comm.Decode[int](reply))
	}
	// Output:
	// 6 <nil>
	// comm: peer: bad_message: nothing to add
}

// One send reaches a whole group; the Delivery says for how many it was queued.
func ExampleManager_Send() {
	gw, end := memoryGateway(comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
		a.Groups = []string{"lobby"} // the server decides; a client may join by itself only if the authorizer allows
		return nil
	}))
	defer end()
	got := make(chan string)
	for range 2 {
		client, hangUp := memoryClient(gw)
		defer hangUp()
		client.On("news", func(_ context.Context, m *comm.Message) error { got <- string(m.Content()); return nil })
	}
	for gw.ConnectionCount(comm.ToGroup("lobby")) < 2 {
		time.Sleep(time.Millisecond)
	}
	msg, _ := comm.NewMessage("news", "tea is ready")
	d, err := gw.Send(context.Background(), comm.ToGroup("lobby"), msg)
	fmt.Println(d.Matched, d.Queued, d.Position.Offset, err)
	fmt.Println(<-got, <-got)
	// Output:
	// 2 2 1 <nil>
	// "tea is ready" "tea is ready"
}

// A server may call its clients too, from a handler of the same connection even.
func ExampleManager_Call() {
	gw, end := memoryGateway()
	defer end()
	comm.OnCall(gw, "login", func(ctx context.Context, c *comm.Conn, user string) (string, error) {
		answer, err := comm.CallAs[string](ctx, gw, c.ID(), "question", "what is the word, "+user+"?")
		return "you said " + answer, err
	})
	client, hangUp := memoryClient(gw)
	defer hangUp()
	client.OnCall("question", func(context.Context, *comm.Message) (any, error) { return "friend", nil })
	msg, _ := comm.NewMessage("login", "ann")
	reply, err := client.Call(context.Background(), msg)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(comm.Decode[string](reply))
	// Output: you said friend <nil>
}

// Pending waits until the handlers of all receivers have returned.
func ExampleWithAck() {
	gw, end := memoryGateway()
	defer end()
	client, hangUp := memoryClient(gw)
	defer hangUp()
	client.On("order", func(context.Context, *comm.Message) error { return nil })
	for gw.ConnectionCount(comm.ToAll()) < 1 {
		time.Sleep(time.Millisecond)
	}
	msg, _ := comm.NewMessage("order", nil)
	d, _ := gw.Broadcast(context.Background(), msg, comm.WithAck())
	fmt.Println(d.Pending.Wait(context.Background()))
	// Output: 1 <nil>
}

// Requests run through the same handlers as over the network, without one.
func ExampleManager_HandleRequest() {
	gw, end := memoryGateway(comm.WithProvider(commhttp.New(
		commhttp.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello %s", r.PathValue("name"))
		}),
	)))
	defer end()
	r, _ := http.NewRequest(http.MethodGet, "/hello/ann", nil)
	resp, err := gw.HandleRequest(context.Background(), "http", r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 hello ann
}

// Every problem of a configuration is reported, with its place.
func ExampleWithConfigJSON() {
	_, err := comm.New(
		comm.WithProvider(ws.New()),
		comm.WithConfigJSON("config.json", []byte(`{
  "communication": {"max_conections": 10, "timeout": 30},
  "providers": {"websocket": {"ping_period": "54s"}}
}`)))
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Println(line)
	}
	// Output:
	// config.json:2:21: communication.max_conections: unknown key (did you mean "max_connections"?)
	// config.json:2:54: communication.timeout: want a duration such as "30s", found a number
}

// Options are checked together too.
func ExampleNew() {
	_, err := comm.New(comm.WithMaxConnections(0), comm.WithAllowedOrigins("example.com"))
	var refused *comm.OptionError
	fmt.Println(errors.As(err, &refused), refused.Option)
	fmt.Println(err)
	// Output:
	// true WithMaxConnections
	// comm: WithMaxConnections(0): allowed is 1 or more
	// comm: WithAllowedOrigins(example.com): allowed is * or scheme://host[:port], where host may begin with *.
}

// A message is immutable; With makes a copy.
func ExampleMessage_With() {
	m, _ := comm.NewMessage("chat.message", Chat{"lobby", "hello"}, comm.WithID("m1"))
	n, _ := m.With(comm.WithHeader("lang", "en"))
	fmt.Println(m.ID(), m.Headers(), n.ID(), n.Headers())
	chat, err := comm.Decode[Chat](n)
	fmt.Println(chat.Text, err)
	// Output:
	// m1 map[] m1 map[lang:en]
	// hello <nil>
}

// Targets are values: narrowing one changes nothing else.
func ExampleTarget() {
	lobby := comm.ToGroup("lobby")
	others := lobby.ExceptUser("ann").InProvider("sse")
	fmt.Println(lobby, others, comm.ToAll(), comm.ToUsers("b", "a", "b"))
	_, err := comm.ParseTarget("lobby")
	fmt.Println(err)
	// Output:
	// group:lobby group:lobby all user:a,user:b
	// comm: no target: "lobby": allowed is conn:ID, user:NAME, group:NAME or all
}

// A position is text that a client keeps and hands back.
func ExampleParsePosition() {
	p, err := comm.ParsePosition("group:lobby@k3.1:41,user:ann@k3.2:7")
	fmt.Println(p.Len(), err)
	p.Advance(comm.LogPosition{Log: "group:lobby", Epoch: "k3.1", Offset: 42})
	fmt.Println(p)
	// Output:
	// 2 <nil>
	// group:lobby@k3.1:42,user:ann@k3.2:7
}

// The bound of each wait doubles; the wait itself is random below it.
func ExampleBackoff() {
	b := comm.Backoff{Base: time.Second, Max: 10 * time.Second}
	for attempt := range 5 {
		fmt.Print(b.Bound(attempt), " ")
	}
	// Output: 1s 2s 4s 8s 10s
}
