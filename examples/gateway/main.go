// Command gateway serves HTTP with long polling, WebSocket, Server-Sent Events, GraphQL and gRPC on one address, and
// a page on which one sees messages cross from one to the other. GraphQL has a playground of its own. With -quic
// it serves QUIC, HTTP/3 and WebTransport too, under a certificate made for this run.
//
//	go run ./examples/gateway
//	go run ./examples/gateway -quic 127.0.0.1:8443   # raw messaging, HTTP/3 and WebTransport on UDP
//	go run ./examples/gateway -addr :8080            # prints the token that clients then need
//	go run ./examples/gateway -config config.json
//	go run ./examples/gateway -grpc 127.0.0.1:9090   # gRPC at an address of its own
//
// Where every address is a loopback one, every client may do everything, and a client's metadata "user"
// is believed to be its name. If any protocol has another address, a token is made and printed, and
// nobody gets in anywhere without it.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	commgrpc "github.com/anasamu/comm/grpc"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

func main() {
	var f flags
	flag.StringVar(&f.addr, "addr", "", "address to serve, host:port (default 127.0.0.1:8080, or what -config says)")
	flag.StringVar(&f.grpc, "grpc", "", "address of gRPC's own, host:port (default that of -addr, or what -config says)")
	flag.StringVar(&f.quic, "quic", "", "address for QUIC and HTTP/3 on UDP and HTTPS on TCP, host:port (default none)")
	flag.StringVar(&f.config, "config", "", "JSON configuration file")
	verbose := flag.Bool("v", false, "log every connection")
	flag.Parse()
	if *verbose {
		slog.SetLogLoggerLevel(slog.LevelDebug)
	}
	if err := run(f); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

// flags are where the gateway serves, as the command line says it.
type flags struct{ addr, grpc, quic, config string }

func run(f flags) error {
	if f.addr == "" && f.config == "" {
		f.addr = "127.0.0.1:8080"
	}
	gw, token, err := open(f)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := gw.Start(ctx); err != nil {
		return errors.Join(explain(err), gw.Close())
	}
	announce(os.Stdout, gw.Addrs, readSettings(f.config), token)
	if f.quic != "" {
		announceQUIC(os.Stdout, gw.Addrs)
	}
	context.AfterFunc(ctx, func() {
		stop() // a second Ctrl-C ends the process at once
		fmt.Printf("\nDraining %d connections. Press Ctrl-C again to cut them.\n", gw.ConnectionCount(comm.ToAll()))
	})
	return errors.Join(gw.Run(ctx), farewell(gw))
}

// explain adds what helps against the usual reason why a gateway does not start.
func explain(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return errors.Join(err, errors.New("is another gateway running? -addr takes another address"))
	}
	return err
}

// open makes the gateway. An address that others can reach needs a token; New opens no socket, so
// asking a first gateway for its addresses costs nothing.
func open(f flags) (gw *comm.Manager, token string, err error) {
	_, addrs, err := build(f, "", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, "", err
	}
	if slices.ContainsFunc(addrs, func(a string) bool { return !loopback(a) }) {
		token = rand.Text()
	}
	gw, _, err = build(f, token, slog.Default())
	return gw, token, err
}

// build makes a gateway and tells at which addresses its providers will be.
func build(f flags, token string, log *slog.Logger) (gw *comm.Manager, addrs []string, err error) {
	raw, offer, err := overQUIC(f.addr, f.quic)
	if err != nil {
		return nil, nil, err
	}
	web := []commhttp.Option{commhttp.WithAdmin("/", append(adminAuth(token), offer.page...)...), commhttp.WithCompression()}
	events := []sse.ProviderOption{}
	api := []graphql.Option{graphql.Hub()}
	var rpc []commgrpc.Option
	opts := []comm.Option{comm.WithLogger(log), comm.WithDrainSpread(2 * time.Second), comm.WithDrainTimeout(10 * time.Second)}
	if f.addr != "" { // over what the file says of each protocol
		opts = append(opts, comm.WithAddr(f.addr))
		web, events = append(web, commhttp.WithAddr(f.addr)), append(events, sse.WithAddr(f.addr))
		api = append(api, graphql.WithAddr(f.addr))
	}
	if own := cmp.Or(f.grpc, f.addr); own != "" {
		rpc = append(rpc, commgrpc.WithAddr(own))
	}
	if f.config != "" {
		opts = append(opts, comm.WithConfigFile(f.config))
	} else { // else the file says it
		api = append(api, graphql.WithEnablePlayground(true))
	}
	if !readSettings(f.config).retries() { // a second gateway at the same address is to say so at once
		opts = append(opts, comm.WithRetry(0, time.Second))
	}
	providers := []comm.Provider{commhttp.New(web...), ws.New(), sse.New(events...), graphql.New(api...), commgrpc.New(rpc...)}
	providers = append(providers, raw...)
	opts = append(opts, offer.gateway...)
	opts = append(opts, access(token)...)
	gw, err = comm.New(append(opts, comm.WithProvider(providers...))...)
	if err != nil {
		return nil, nil, err
	}
	handlers(gw)
	return gw, addresses(gw, providers), nil
}

// addresses are where the providers are configured to be: at an address of their own, or the gateway's.
func addresses(gw *comm.Manager, providers []comm.Provider) (list []string) {
	for _, p := range providers {
		addr := ""
		if own, ok := p.(comm.Addresser); ok {
			addr = own.Address()
		}
		list = append(list, cmp.Or(addr, gw.Addr()))
	}
	return list
}

// access says who may do what: everyone everything without a token, everyone who has it otherwise.
func access(token string) []comm.Option {
	if token == "" {
		return []comm.Option{comm.WithOpenAccess(), comm.WithOnConnect(nameFromMetadata)}
	}
	return []comm.Option{
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			user, err := checkToken(hs.Token, token)
			return comm.Identity{User: user}, err
		}),
		comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { return nil }),
	}
}

// nameFromMetadata believes a client's metadata "user". Only open access may be so trusting.
func nameFromMetadata(_ context.Context, hs *comm.Handshake, a *comm.Admission) error {
	if a.User == "" {
		a.User = hs.Hello.Metadata["user"]
	}
	return nil
}

func adminAuth(token string) []commhttp.AdminOption {
	if token == "" {
		return nil
	}
	return []commhttp.AdminOption{commhttp.WithAdminAuth(func(r *http.Request) error {
		_, err := checkToken(comm.BearerToken(r.Header.Get("Authorization")), token)
		return err
	})}
}

// checkToken compares what a client gave with the token. NAME:TOKEN makes it a user.
func checkToken(given, token string) (user string, err error) {
	secret := given
	if i := strings.LastIndexByte(given, ':'); i >= 0 {
		user, secret = given[:i], given[i+1:]
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(token)) != 1 {
		return "", comm.ErrUnauthenticated
	}
	return user, nil
}

// handlers are two things that a client can call.
func handlers(gw *comm.Manager) {
	comm.OnCall(gw, "echo", func(_ context.Context, _ *comm.Conn, m *comm.Message) (*comm.Message, error) { return m, nil })
	comm.OnCall(gw, "time", func(context.Context, *comm.Conn, any) (time.Time, error) { return time.Now().UTC(), nil })
}

// loopback reports whether only this machine can reach an address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// farewell says what was drained.
func farewell(gw *comm.Manager) error {
	s, err := gw.Stats("")
	if err != nil {
		return err
	}
	fmt.Printf("Drained: %d connections told to return, %d requests and %d messages served in all.\n",
		s.Closed["drain"], s.Requests, s.MessagesIn+s.MessagesOut)
	return nil
}
