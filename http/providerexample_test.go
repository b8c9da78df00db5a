package commhttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

// A gateway with a route of its own, in memory.
func ExampleNew() {
	gw, err := comm.New(comm.WithInMemory(), comm.WithLogger(quiet), comm.WithProvider(commhttp.New(
		commhttp.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "user %s", r.PathValue("id"))
		}),
	)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gw.Close()
	if err := gw.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: &http.Transport{DialContext: gw.DialContext, DisableKeepAlives: true}}
	for _, path := range []string{"/users/7", "/livez"} {
		resp, err := client.Get("http://gateway" + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%d %s\n", resp.StatusCode, body)
	}
	// Output:
	// 200 user 7
	// 200 ok
}

// A client that joins a group by long polling.
func ExampleDialer() {
	gw, err := comm.New(comm.WithInMemory(), comm.WithLogger(quiet), comm.WithOpenAccess(), comm.WithProvider(commhttp.New()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gw.Close()
	if err := gw.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	transport := &http.Transport{DialContext: gw.DialContext}
	defer transport.CloseIdleConnections()
	client, err := comm.NewClient([]comm.Dialer{
		commhttp.Dialer("http://gateway/poll", commhttp.WithHTTPClient(&http.Client{Transport: transport})),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	said := make(chan string)
	client.On("chat.message", func(_ context.Context, m *comm.Message) error {
		said <- string(m.Content())
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- client.Run(ctx) }()
	if err := client.Join(ctx, "lobby"); err != nil {
		fmt.Println(err)
		return
	}
	msg, err := comm.NewMessage("chat.message", map[string]string{"text": "hello"})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := gw.Send(ctx, comm.ToGroup("lobby"), msg)
	fmt.Println(d.Matched, err, <-said)
	cancel()
	fmt.Println(<-ended)
	// Output:
	// 1 <nil> {"text":"hello"}
	// <nil>
}

// The page and API of a gateway, for holders of a token.
func ExampleWithAdmin() {
	gw, err := comm.New(comm.WithInMemory(), comm.WithLogger(quiet), comm.WithProvider(commhttp.New(
		commhttp.WithAdmin("/admin/", commhttp.WithAdminAuth(commhttp.AdminToken("open sesame"))),
	)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gw.Close()
	if err := gw.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	for _, token := range []string{"guess", "open sesame"} {
		req, err := http.NewRequest("GET", "/admin/api/connections", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := gw.HandleRequest(context.Background(), "http", req)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, len(body) > 0)
	}
	// Output:
	// 401 true
	// 200 true
}
