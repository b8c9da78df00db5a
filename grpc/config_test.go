package commgrpc_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	_ "github.com/anasamu/comm/grpc/channelz"
	"github.com/anasamu/comm/grpc/comm/v1"
	"github.com/anasamu/comm/internal/conf/conftest"
	"github.com/anasamu/comm/internal/memnet"
)

// configRow sets keys and observes what they do.
type configRow struct {
	set   map[string]string
	check func(t *testing.T, m *comm.Manager)
}

// key sets one key.
func key(name, value string, check func(t *testing.T, m *comm.Manager)) configRow {
	return configRow{map[string]string{name: value}, check}
}

// own is where the provider listens.
func own(t *testing.T, m *comm.Manager) string {
	t.Helper()
	addrs, err := m.Addrs("grpc")
	if err != nil || len(addrs) != 1 {
		t.Fatalf("addresses %q", addrs)
	}
	return addrs[0]
}

func invoke(t *testing.T, m *comm.Manager, in *grpc_testing.SimpleRequest) error {
	t.Helper()
	_, err := testClient(t, m).UnaryCall(t.Context(), in)
	return err
}

var fullDuplex = block(":method", "POST", ":scheme", "http", ":path", "/grpc.testing.TestService/FullDuplexCall", ":authority", "gateway",
	"content-type", "application/grpc", "user-agent", "grpc-go/1.85.0", "te", "trailers")

// open is the client's end of a connection of the native transport, with a stream that stays.
func open(t *testing.T, m *comm.Manager) *peer {
	t.Helper()
	c := newPeer(t, m, "gateway:80")
	c.WriteSettings()
	c.WriteHeaders(headers(1, fullDuplex, true))
	until[*http2.SettingsFrame](t, c)
	until[*http2.SettingsFrame](t, c)
	c.WriteSettingsAck()
	c.WriteSettingsAck()
	return c
}

var configRows = map[string]configRow{
	"host": key("host", "127.0.0.3", func(t *testing.T, m *comm.Manager) {
		if got := own(t, m); !strings.HasPrefix(got, "127.0.0.3:") {
			t.Error(got)
		}
	}),
	"port": key("port", "9090", func(t *testing.T, m *comm.Manager) {
		if got := own(t, m); !strings.HasSuffix(got, ":9090") {
			t.Error(got)
		}
		_, err := grpc_testing.NewTestServiceClient(clientOf(t, m, own(t, m))).EmptyCall(t.Context(), new(grpc_testing.Empty))
		wantCode(t, "there", err, codes.OK)
	}),
	"max_recv_msg_size": key("max_recv_msg_size", "1KiB", func(t *testing.T, m *comm.Manager) {
		wantCode(t, "within", invoke(t, m, payload(900)), codes.OK)
		wantCode(t, "past", invoke(t, m, payload(1100)), codes.ResourceExhausted)
	}),
	"max_send_msg_size": key("max_send_msg_size", "1KiB", func(t *testing.T, m *comm.Manager) {
		wantCode(t, "within", invoke(t, m, payload(900)), codes.OK)
		wantCode(t, "past", invoke(t, m, payload(1100)), codes.ResourceExhausted)
	}),
	"max_header_size": key("max_header_size", "1KiB", func(t *testing.T, m *comm.Manager) {
		c := open(t, m)
		fields := []string{":method", "POST", ":scheme", "http", ":path", unaryCall, ":authority", "x", "content-type", "application/grpc"}
		for range 20 {
			fields = append(fields, "x", strings.Repeat("y", 100))
		}
		c.WriteHeaders(headers(3, block(fields...), true))
		if got := until[*http2.RSTStreamFrame](t, c); got.StreamID != 3 {
			t.Errorf("%v", got)
		}
	}),
	"max_concurrent_streams": key("max_concurrent_streams", "1", func(t *testing.T, m *comm.Manager) {
		c := testClient(t, m)
		if _, err := c.EmptyCall(t.Context(), new(grpc_testing.Empty)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.FullDuplexCall(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.EmptyCall(ctx, new(grpc_testing.Empty))
		wantCode(t, "a second", err, codes.DeadlineExceeded)
	}),
	"max_connections": key("max_connections", "1", func(t *testing.T, m *comm.Manager) {
		wantCode(t, "first", invoke(t, m, payload(1)), codes.OK)
		wantCode(t, "second", invoke(t, m, payload(1)), codes.Unavailable)
	}),
	"max_connections_per_addr": key("max_connections_per_addr", "1", func(t *testing.T, m *comm.Manager) {
		for _, row := range []struct {
			from string
			code codes.Code
		}{{"192.0.2.1:1", codes.OK}, {"192.0.2.1:2", codes.Unavailable}, {"192.0.2.2:1", codes.OK}} {
			c := testClient(t, m, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				return m.DialContext(memnet.WithLocalAddr(ctx, row.from), "tcp", addr)
			}))
			_, err := c.EmptyCall(t.Context(), new(grpc_testing.Empty))
			wantCode(t, row.from, err, row.code)
		}
	}),
	"call_rate": key("call_rate", "1", func(t *testing.T, m *comm.Manager) {
		wantCode(t, "first", invoke(t, m, payload(1)), codes.OK)
		wantCode(t, "second", invoke(t, m, payload(1)), codes.OK)
		wantCode(t, "third", invoke(t, m, payload(1)), codes.ResourceExhausted)
	}),
	"call_burst": {map[string]string{"call_rate": "1", "call_burst": "1"}, func(t *testing.T, m *comm.Manager) {
		wantCode(t, "first", invoke(t, m, payload(1)), codes.OK)
		wantCode(t, "second", invoke(t, m, payload(1)), codes.ResourceExhausted)
	}},
	"enable_native": key("enable_native", "false", func(t *testing.T, m *comm.Manager) {
		w := newWeb(t, m, true)
		library := http.Header{"User-Agent": {"grpc-go/1.85.0"}}
		if err := w.call(t, unaryCall, payload(1), nil, library); err != nil {
			t.Error(err)
		}
		if got := w.page(t); got != "page over HTTP/2.0" || w.conns != 1 {
			t.Errorf("%q over %d connections", got, w.conns)
		}
		wantCode(t, "a library", invoke(t, m, payload(1)), codes.OK)
	}),
	"enable_reflection": key("enable_reflection", "false", func(t *testing.T, m *comm.Manager) {
		s, err := grpc_reflection_v1.NewServerReflectionClient(client(t, m)).ServerReflectionInfo(t.Context())
		if err == nil {
			_, err = s.Recv()
		}
		wantCode(t, "reflection", err, codes.Unimplemented)
	}),
	"enable_channelz": key("enable_channelz", "true", func(t *testing.T, m *comm.Manager) {
		_, err := grpc_channelz_v1.NewChannelzClient(client(t, m)).GetServers(t.Context(), new(grpc_channelz_v1.GetServersRequest))
		wantCode(t, "channelz", err, codes.OK)
	}),
	"enable_hub_compression": key("enable_hub_compression", "true", func(t *testing.T, m *comm.Manager) {
		got := new(received)
		p := connect(t, hubClient(t, m, grpc.WithStatsHandler(got)), hello())
		id := p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
		if _, err := m.Send(t.Context(), comm.ToConn(id), newMessage(t, "n", strings.Repeat("x", 10_000))); err != nil {
			t.Fatal(err)
		}
		p.expect(commv1.Op_OP_MESSAGE)
		if got.plain.Load() < 10_000 || got.wire.Load() > 2_000 {
			t.Errorf("%d bytes came as %d", got.plain.Load(), got.wire.Load())
		}
	}),
	"keepalive_time": key("keepalive_time", "3s", func(t *testing.T, m *comm.Manager) {
		c, start := open(t, m), time.Now()
		until[*http2.PingFrame](t, c)
		if took := time.Since(start); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("pinged after %v", took)
		}
	}),
	"keepalive_timeout": key("keepalive_timeout", "2s", func(t *testing.T, m *comm.Manager) {
		c := open(t, m)
		until[*http2.PingFrame](t, c)
		start := time.Now()
		for {
			if _, err := c.ReadFrame(); err != nil {
				break
			}
		}
		if took := time.Since(start); took < time.Second || took > 3*time.Second {
			t.Errorf("given up after %v", took)
		}
	}),
	"min_ping_interval": key("min_ping_interval", "1m", func(t *testing.T, m *comm.Manager) {
		c := open(t, m)
		var pings sync.WaitGroup
		pings.Go(func() {
			for c.WritePing(false, [8]byte{7}) == nil {
				time.Sleep(10 * time.Second)
			}
		})
		defer pings.Wait()
		defer c.conn.Close()
		if got := until[*http2.GoAwayFrame](t, c); got.ErrCode != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("%v", got)
		}
	}),
	"max_connection_idle": key("max_connection_idle", "3s", func(t *testing.T, m *comm.Manager) {
		c := newPeer(t, m, "gateway:80")
		c.WriteSettings()
		c.WriteHeaders(headers(1, call(), true))
		c.WriteData(1, true, []byte{0, 0, 0, 0, 0})
		start := time.Now()
		until[*http2.GoAwayFrame](t, c)
		if took := time.Since(start); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("sent away after %v", took)
		}
	}),
	"max_connection_age": key("max_connection_age", "10s", func(t *testing.T, m *comm.Manager) {
		c, start := open(t, m), time.Now()
		until[*http2.GoAwayFrame](t, c)
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("sent away after %v", took)
		}
	}),
	"max_connection_age_grace": {map[string]string{"max_connection_age": "10s", "max_connection_age_grace": "5s"}, func(t *testing.T, m *comm.Manager) {
		s, err := testClient(t, m).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = s.Recv()
		if took := time.Since(start); err == nil || took < 13*time.Second || took > 18*time.Second {
			t.Errorf("cut after %v, %v", took, err)
		}
	}},
}

func configured(source string, set map[string]string) comm.Option {
	if source == "environment" {
		return comm.WithEnviron(conftest.Environ("grpc", set), "")
	}
	return comm.WithConfigJSON("config.json", conftest.Document("grpc", set))
}

func TestConfigKeys(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"file", "environment"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			conftest.EachKey(t, new(commgrpc.Config), configRows, func(t *testing.T, _ string, row configRow) {
				synctest.Test(t, func(t *testing.T) {
					row.check(t, gateway(t, commgrpc.New(with(new(service))), configured(source, row.set)))
				})
			})
		})
	}
}

// Options say the same as the keys, and win over them.
func TestOptionsWin(t *testing.T) {
	t.Parallel()
	keys := configured("environment", map[string]string{
		"host": "127.0.0.3", "port": "9091", "max_recv_msg_size": "1", "max_send_msg_size": "1", "max_header_size": "1KiB", "max_concurrent_streams": "7",
		"max_connections": "7", "max_connections_per_addr": "7", "call_rate": "1", "call_burst": "1", "enable_reflection": "false", "enable_native": "true",
		"enable_channelz": "false", "enable_hub_compression": "false", "keepalive_time": "7s", "keepalive_timeout": "7s", "min_ping_interval": "7s", "max_connection_idle": "7s",
		"max_connection_age": "7s", "max_connection_age_grace": "7s",
	})
	p := commgrpc.New(
		commgrpc.WithHost("127.0.0.1"), commgrpc.WithPort(9090), commgrpc.WithMaxRecvMsgSize(2), commgrpc.WithMaxSendMsgSize(2),
		commgrpc.WithMaxHeaderSize(2<<10), commgrpc.WithMaxConcurrentStreams(2), commgrpc.WithMaxConnections(2), commgrpc.WithMaxConnectionsPerAddr(2),
		commgrpc.WithCallRate(2, 2), commgrpc.WithReflection(true), commgrpc.WithNative(false), commgrpc.WithChannelz(true), commgrpc.WithHubCompression(true), commgrpc.WithKeepalive(2*time.Second, 2*time.Second),
		commgrpc.WithMinPingInterval(2*time.Second), commgrpc.WithMaxConnectionIdle(2*time.Second), commgrpc.WithMaxConnectionAge(2*time.Second, 2*time.Second),
	)
	gateway(t, p, keys)
	if got, want := commgrpc.ConfigOf(p), (commgrpc.Config{
		Host: "127.0.0.1", Port: 9090, MaxRecvMsgSize: 2, MaxSendMsgSize: 2, MaxHeaderSize: 2 << 10, MaxConcurrentStreams: 2, MaxConnections: 2,
		MaxConnectionsPerAddr: 2, CallRate: 2, CallBurst: 2, EnableReflection: true, EnableChannelz: true, EnableHubCompression: true, KeepaliveTime: 2 * time.Second,
		KeepaliveTimeout: 2 * time.Second, MinPingInterval: 2 * time.Second, MaxConnectionIdle: 2 * time.Second, MaxConnectionAge: 2 * time.Second,
		MaxConnectionAgeGrace: 2 * time.Second,
	}); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// What is refused names itself and what is allowed.
func TestRefused(t *testing.T) {
	t.Parallel()
	for want, opt := range map[string]commgrpc.Option{
		"an option is nil, number 2":   nil,
		"Register(nil)":                commgrpc.Register(nil),
		"registered twice":             commgrpc.Register(func(r grpc.ServiceRegistrar) { twice(r); twice(r) }),
		"Register panicked":            commgrpc.Register(func(grpc.ServiceRegistrar) { panic("no idea") }),
		"a service with a name":        commgrpc.Register(func(r grpc.ServiceRegistrar) { r.RegisterService(new(grpc.ServiceDesc), nil) }),
		"int is no":                    commgrpc.Register(func(r grpc.ServiceRegistrar) { r.RegisterService(&grpc_testing.TestService_ServiceDesc, 7) }),
		`WithAddr("x")`:                commgrpc.WithAddr("x"),
		"port":                         commgrpc.WithPort(70000),
		"max_recv_msg_size":            commgrpc.WithMaxRecvMsgSize(0),
		"max_send_msg_size":            commgrpc.WithMaxSendMsgSize(-1),
		"max_header_size":              commgrpc.WithMaxHeaderSize(7),
		"max_concurrent_streams":       commgrpc.WithMaxConcurrentStreams(0),
		"max_connections":              commgrpc.WithMaxConnections(0),
		"max_connections_per_addr":     commgrpc.WithMaxConnectionsPerAddr(0),
		"call_rate":                    commgrpc.WithCallRate(-1, 0),
		"call_burst: needs":            commgrpc.WithCallRate(0, 7),
		"keepalive_time 1ms":           commgrpc.WithKeepalive(time.Millisecond, 0),
		"min_ping_interval":            commgrpc.WithMinPingInterval(-1),
		"max_connection_idle":          commgrpc.WithMaxConnectionIdle(-1),
		"needs max_connection_age":     commgrpc.WithMaxConnectionAge(0, time.Second),
		"WithTLS(<nil>)":               commgrpc.WithTLS(nil),
		"WithUnaryInterceptors":        commgrpc.WithUnaryInterceptors(nil),
		"WithStreamInterceptors":       commgrpc.WithStreamInterceptors(nil),
		"WithStatsHandler":             commgrpc.WithStatsHandler(nil),
		"WithUnknownService":           commgrpc.WithUnknownService(nil),
		"WithServerOptions":            commgrpc.WithServerOptions(nil),
		`WithPublicMethods("a.B/C")`:   commgrpc.WithPublicMethods("a.B/C"),
		`WithPublicMethods("/*/C")`:    commgrpc.WithPublicMethods("/*/C"),
		`WithPublicMethods("/a.B/x*")`: commgrpc.WithPublicMethods("/a.B/x*"),
		`("/a.B/C"): no registered`:    commgrpc.WithPublicMethods("/a.B/C"),
		"no registered service has it": commgrpc.WithPublicMethods("/grpc.testing.TestService/Missing"),
	} {
		_, err := comm.New(comm.WithProvider(commgrpc.New(with(new(service)), opt)), comm.WithLogger(slog.New(slog.DiscardHandler)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	_, err := comm.New(comm.WithProvider(commgrpc.New()), comm.WithConfigJSON("c.json", []byte(`{"providers":{"grpc":{"max_recv_size":1}}}`)))
	if err == nil || !strings.Contains(err.Error(), "max_recv_msg_size") {
		t.Errorf("a key that is none: %v", err)
	}
	unlinked := commgrpc.Unlinked(commgrpc.New(commgrpc.WithChannelz(true)))
	if _, err := comm.New(comm.WithProvider(unlinked)); err == nil || !strings.Contains(err.Error(), "comm/grpc/channelz") {
		t.Errorf("channelz without its package: %v", err)
	}
	serverConf, _ := mutual(t)
	if _, err := comm.New(comm.WithProvider(commgrpc.New(commgrpc.WithTLS(serverConf)))); err == nil || !strings.Contains(err.Error(), "WithTLS") {
		t.Errorf("TLS of the manager's address: %v", err)
	}
	p := commgrpc.New()
	if _, err := comm.New(comm.WithProvider(p)); err != nil {
		t.Fatal(err)
	}
	if _, err := comm.New(comm.WithProvider(p)); err == nil || !strings.Contains(err.Error(), "one manager") {
		t.Errorf("a second manager: %v", err)
	}
}

func twice(r grpc.ServiceRegistrar) { grpc_testing.RegisterTestServiceServer(r, new(service)) }

// Server options that exclude each other are an error of Start, not the end of the process.
func TestServerOptionsThatPanic(t *testing.T) {
	t.Parallel()
	i := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return next(ctx, req)
	}
	p := commgrpc.New(commgrpc.WithServerOptions(grpc.UnaryInterceptor(i), grpc.UnaryInterceptor(i)))
	m, err := comm.New(comm.WithInMemory(), comm.WithProvider(p), comm.WithRetry(0, time.Second), comm.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "WithServerOptions") {
		t.Errorf("%v", err)
	}
}

// Server options come last.
func TestServerOptions(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(with(new(service)), commgrpc.WithServerOptions(grpc.MaxRecvMsgSize(10))))
	wantCode(t, "past", invoke(t, m, payload(100)), codes.ResourceExhausted)
}

// Of the options for the address the last one counts.
func TestAddressOptions(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string][]commgrpc.Option{
		"127.0.0.1:99":   {commgrpc.WithAddr("127.0.0.1:1234"), commgrpc.WithPort(99)},
		"localhost:1234": {commgrpc.WithAddr("127.0.0.1:1234"), commgrpc.WithHost("localhost")},
		"127.0.0.1:1234": {commgrpc.WithHost("localhost"), commgrpc.WithPort(99), commgrpc.WithAddr("127.0.0.1:1234")},
		":0":             {commgrpc.WithPort(99), commgrpc.WithAddr(":0")},
	} {
		p := commgrpc.New(opts...)
		if _, err := comm.New(comm.WithProvider(p)); err != nil || p.Address() != want {
			t.Errorf("%s, %v, want %s", p.Address(), err, want)
		}
	}
}

// A message that is larger than the provider reads does not wait for ever where the server has been given a larger bound.
func TestLargerBoundByServerOption(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(with(new(service)), commgrpc.WithMaxRecvMsgSize(1000), commgrpc.WithServerOptions(grpc.MaxRecvMsgSize(1<<20))))
		w := newWeb(t, m, true)
		w.Timeout = time.Minute
		err := w.call(t, unaryCall, payload(5000), nil, nil)
		wantCode(t, "a large message", err, codes.Unavailable)
		contains(t, fmt.Sprint(err), "max_recv_msg_size, 1000 bytes")
	})
}
