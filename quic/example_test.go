package commquic_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/devcert"
	commquic "github.com/anasamu/comm/quic"
)

// serve is a gateway on loopback, and what a client needs to trust it.
func serve(opts ...comm.Option) (m *comm.Manager, addr string, trust commquic.DialOption, err error) {
	cert, err := devcert.New()
	if err != nil {
		return nil, "", nil, err
	}
	conf := cert.Client()
	server := conf.Clone()
	server.Certificates = append(server.Certificates, cert.TLS)
	p := commquic.New(commquic.WithAddr("127.0.0.1:0"), commquic.WithTLS(server))
	m, err = comm.New(append(opts, comm.WithProvider(p), comm.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		return nil, "", nil, err
	}
	if err := m.Start(context.Background()); err != nil {
		return nil, "", nil, err
	}
	addrs, err := m.Addrs("quic")
	if err != nil {
		return nil, "", nil, err
	}
	return m, addrs[0], commquic.WithTLS(conf), nil
}

// A client calls a service over QUIC.
func Example() {
	m, addr, trust, err := serve()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	comm.OnCall(m, "greet", func(_ context.Context, _ *comm.Conn, name string) (string, error) { return "hello " + name, nil })

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := commquic.Dial(ctx, addr, trust)
	if err != nil {
		fmt.Println(err)
		return
	}
	msg, _ := comm.NewMessage("greet", "ann")
	reply, err := c.Call(ctx, msg)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(reply.Content()))
	// Output: "hello ann"
}

// A file of several megabytes travels on a lane, so that what is said meanwhile does not wait for it.
func Example_lanes() {
	m, addr, trust, err := serve(comm.WithQueue(1000, 64<<20))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	d := commquic.Dialer(addr, trust)
	c, err := comm.NewClient([]comm.Dialer{d})
	if err != nil {
		fmt.Println(err)
		return
	}
	came := make(chan string)
	c.On("*", func(_ context.Context, m *comm.Message) error { came <- m.Type(); return nil })
	go c.Run(ctx)
	for c.State() != comm.ClientConnected {
		time.Sleep(time.Millisecond)
	}

	file, _ := comm.NewMessage("file", make([]byte, 32<<20))
	chat, _ := comm.NewMessage("chat", "hi")
	_, _ = m.Broadcast(ctx, file, comm.WithLane("files"))
	_, _ = m.Broadcast(ctx, chat)
	fmt.Println(<-came, "came before the", <-came)
	// Output: chat came before the file
}

// Positions that are out of date in a moment anyway are sent in datagrams.
func Example_unreliable() {
	m, addr, trust, err := serve()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	moved := make(chan [2]int, 1)
	comm.On(m, "move", func(_ context.Context, _ *comm.Conn, to [2]int) error {
		select {
		case moved <- to:
		default:
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := commquic.Dial(ctx, addr, trust)
	if err != nil {
		fmt.Println(err)
		return
	}
	msg, _ := comm.NewMessage("move", [2]int{3, 4})
	for {
		if err := c.Send(ctx, msg, comm.WithUnreliable()); err != nil {
			fmt.Println(err)
			return
		}
		select {
		case to := <-moved:
			fmt.Println("at", to)
			return
		case <-time.After(100 * time.Millisecond): // it was lost
		}
	}
	// Output: at [3 4]
}

// Servers that share a key tell the clients of a process that was killed that their connections are gone. The key is as
// secret as the certificate's, and comes from where that does.
func ExampleWithStatelessResetKey() {
	secret := "from a file or a vault, the same after each start"
	key := func(use string) [32]byte { return sha256.Sum256([]byte(use + secret)) }
	p := commquic.New(commquic.WithStatelessResetKey(key("reset ")), commquic.WithTokenKey(key("token ")))
	m, err := comm.New(comm.WithInMemory(), comm.WithAddr("127.0.0.1:8443"), comm.WithDevelopmentCertificate(), comm.WithProvider(p))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	fmt.Println(m.Providers())
	// Output: [quic]
}
