package comm_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// A service that has a server of its own gives some of its paths to the gateway, which then listens nowhere. Its handlers
// ask the same authenticator, and send to the clients of every protocol.
func ExampleManager_Handler() {
	gw, end := memoryGateway( // with comm.WithInMemory
		comm.WithProvider(sse.New()),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			user, ok := strings.CutPrefix(hs.Token, "token of ")
			if !ok {
				return comm.Identity{}, comm.ErrUnauthenticated
			}
			return comm.Identity{User: user}, nil
		}),
	)
	mux := http.NewServeMux()
	mux.Handle("/live/", http.StripPrefix("/live", gw.Handler())) // /live/ws, /live/events
	mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		id, err := gw.Authenticate(r)
		if err != nil {
			comm.WriteRefusal(w, "", err)
			return
		}
		msg, _ := comm.NewMessage("note", "saved")
		d, err := gw.Send(r.Context(), comm.ToUser(id.User), msg)
		fmt.Fprintln(w, "told", d.Queued, err)
	})
	srv := httptest.NewServer(mux) // yours: an http.Server with its own TLS and timeouts
	defer srv.Close()
	defer end() // the gateway drains before the server is shut down, which would wait for streams for ever

	got := make(chan string)
	client, _ := comm.NewClient([]comm.Dialer{ws.Dialer("ws" + strings.TrimPrefix(srv.URL, "http") + "/live/ws")},
		comm.WithTokenSource(func(context.Context) (string, error) { return "token of ann", nil }),
		comm.WithOnState(func(s comm.StateChange) {
			if s.State == comm.ClientConnected {
				got <- "connected"
			}
		}))
	client.On("note", func(_ context.Context, m *comm.Message) error { got <- string(m.Content()); return nil })
	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	ran := make(chan error)
	go func() { ran <- client.Run(ctx) }()
	fmt.Println(<-got)
	for _, token := range []string{"", "token of ann"} {
		req, _ := http.NewRequest("POST", srv.URL+"/notes", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		res.Body.Close()
		fmt.Println(res.Status)
	}
	fmt.Println(<-got)
	hangUp()
	<-ran
	// Output:
	// connected
	// 401 Unauthorized
	// 200 OK
	// "saved"
}

// A member may send to its group, and who comes later reads what was said.
func ExampleClient_JoinFrom() {
	gw, end := memoryGateway(comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
		switch a.Action {
		case comm.ActionJoin:
			return nil
		case comm.ActionSend:
			if c.InGroup(a.Group) {
				return nil
			}
		}
		return comm.ErrForbidden
	}))
	defer end()
	ctx := context.Background()
	ann, hangUp := memoryClient(gw)
	defer hangUp()
	hello, _ := comm.NewMessage("say", "hello", comm.WithTo(comm.ToGroup("lobby")))
	fmt.Println(ann.SendAck(ctx, hello))
	fmt.Println(ann.Join(ctx, "lobby"))
	fmt.Println(ann.SendAck(ctx, hello))

	bob, hangUp := memoryClient(gw)
	defer hangUp()
	heard := make(chan string, 1)
	bob.On("say", func(_ context.Context, m *comm.Message) error { heard <- string(m.Content()); return nil })
	fmt.Println(bob.JoinFrom(ctx, "lobby", comm.LogPosition{}), <-heard)
	// Output:
	// comm: peer: forbidden: forbidden
	// <nil>
	// <nil>
	// <nil> "hello"
}
