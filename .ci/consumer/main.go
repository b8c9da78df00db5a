// Command consumer is a user's first program with comm, for .ci/run: three clients, each over another
// protocol, meet in one group. Nothing leaves the process: the gateway opens no socket.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

type chat struct {
	Text string `json:"text"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	gw, err := newGateway()
	if err != nil {
		return err
	}
	if err := gw.Start(ctx); err != nil {
		return err
	}
	defer gw.Close()

	poller := &http.Client{Transport: &http.Transport{DialContext: gw.DialContext}}
	dialers := []comm.Dialer{
		ws.Dialer("ws://gateway/ws", ws.WithNetDial(gw.DialContext)),
		sse.Dialer("http://gateway/events", sse.WithDialContext(gw.DialContext)),
		commhttp.Dialer("http://gateway/poll", commhttp.WithHTTPClient(poller)),
	}
	var clients []*member
	for _, d := range dialers {
		m, err := join(ctx, d)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name(), err)
		}
		clients = append(clients, m)
	}
	for _, m := range clients {
		if err := m.say(ctx, clients); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// newGateway relays what one client says to all that are in the lobby, where everyone is.
func newGateway() (*comm.Manager, error) {
	gw, err := comm.New(
		comm.WithInMemory(),
		comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithProvider(commhttp.New(), ws.New(), sse.New()),
		comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
			a.Groups = append(a.Groups, "lobby")
			return nil
		}),
	)
	if err != nil {
		return nil, err
	}
	comm.On(gw, "chat.message", func(ctx context.Context, c *comm.Conn, said chat) error {
		msg, err := comm.NewMessage("chat.message", said, comm.From(c))
		if err != nil {
			return err
		}
		_, err = gw.Send(ctx, comm.ToGroup("lobby"), msg)
		return err
	})
	return gw, nil
}

// member is one client in the lobby.
type member struct {
	name   string
	client *comm.Client
	heard  chan string
}

// join opens a client that runs until ctx ends, and waits until it is connected.
func join(ctx context.Context, d comm.Dialer) (*member, error) {
	m := &member{name: d.Name(), heard: make(chan string, 16)}
	connected := make(chan struct{}, 16)
	client, err := comm.NewClient([]comm.Dialer{d}, comm.WithOnState(func(s comm.StateChange) {
		if s.State == comm.ClientConnected {
			connected <- struct{}{}
		}
	}))
	if err != nil {
		return nil, err
	}
	m.client = client
	client.On("chat.message", func(_ context.Context, msg *comm.Message) error {
		said, err := comm.Decode[chat](msg)
		m.heard <- said.Text
		return err
	})
	go func() { _ = client.Run(ctx) }()
	select {
	case <-connected:
		return m, nil
	case <-ctx.Done():
		return nil, errors.New("did not connect")
	}
}

// say sends one message, and waits until every client has heard it.
func (m *member) say(ctx context.Context, all []*member) error {
	text := "hello over " + m.name
	msg, err := comm.NewMessage("chat.message", chat{Text: text})
	if err != nil {
		return err
	}
	if err := m.client.Send(ctx, msg); err != nil {
		return err
	}
	for _, other := range all {
		select {
		case heard := <-other.heard:
			if heard != text {
				return fmt.Errorf("%s heard %q, not %q", other.name, heard, text)
			}
			fmt.Printf("%s heard: %s\n", other.name, heard)
		case <-ctx.Done():
			return fmt.Errorf("%s heard nothing", other.name)
		}
	}
	return nil
}
