package commgrpc_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// onSockets runs a gateway on loopback and returns its address, with what a client needs to come there.
func onSockets(t *testing.T, secure bool, p *commgrpc.Provider) (addr string, dial grpc.DialOption, web *http.Client, scheme string) {
	t.Helper()
	opts := []comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithProvider(pages(), p), comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler)),
	}
	if secure {
		opts = append(opts, comm.WithDevelopmentCertificate())
	}
	m, err := comm.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{Protocols: new(http.Protocols)}
	t.Cleanup(tr.CloseIdleConnections)
	scheme, dial = "http", grpc.WithTransportCredentials(insecure.NewCredentials())
	if conf, _ := m.DevelopmentCertificate(); conf != nil {
		scheme, tr.TLSClientConfig, dial = "https", conf.Clone(), transportTLS(conf)
	}
	tr.Protocols.SetHTTP2(true)
	tr.Protocols.SetUnencryptedHTTP2(true)
	return own(t, m), dial, &http.Client{Transport: tr}, scheme
}

// Many clients of each kind at once, on real sockets.
func TestOnSockets(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			t.Parallel()
			p := commgrpc.New(with(new(service)))
			addr, dial, web, scheme := onSockets(t, secure, p)
			var clients sync.WaitGroup
			for range 8 {
				clients.Go(func() { callOften(t, addr, dial) })
				clients.Go(func() { askOften(t, web, scheme+"://"+addr+"/page") })
			}
			clients.Wait()
			eventually(t, "the end of all connections", func() bool { return p.NativeConns() == 0 })
		})
	}
}

func callOften(t *testing.T, addr string, dial grpc.DialOption) {
	cc, err := grpc.NewClient("passthrough:///"+addr, dial)
	if err != nil {
		t.Error(err)
		return
	}
	defer cc.Close()
	c := grpc_testing.NewTestServiceClient(cc)
	for i := range 50 {
		resp, err := c.UnaryCall(t.Context(), payload(i*i*i))
		if err != nil || len(resp.GetPayload().GetBody()) != i*i*i {
			t.Errorf("call %d: %d bytes, %v", i, len(resp.GetPayload().GetBody()), err)
		}
	}
}

func askOften(t *testing.T, web *http.Client, url string) {
	for range 50 {
		resp, err := web.Get(url)
		if err != nil {
			t.Error(err)
			return
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != "page over HTTP/2.0" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// Features are what the instance serves.
func TestFeatures(t *testing.T) {
	t.Parallel()
	serverConf, _ := mutual(t)
	for _, row := range []struct {
		opts  []commgrpc.Option
		has   []comm.Feature
		lacks []comm.Feature
	}{
		{nil, []comm.Feature{
			comm.FeatureHTTP, comm.FeatureCORS, comm.FeatureHeaders, comm.FeatureStreaming, comm.FeatureRealTime, comm.FeatureCompression,
			comm.FeatureMiddleware, comm.FeatureHealthChecks, comm.FeatureBroadcasting, comm.FeatureMulticasting, comm.FeatureUnicasting,
		}, []comm.Feature{comm.FeatureHTTPS, comm.FeatureWebSocket, comm.FeatureAuthentication}},
		{
			[]commgrpc.Option{commgrpc.WithoutHub()},
			[]comm.Feature{comm.FeatureStreaming, comm.FeatureMiddleware},
			[]comm.Feature{comm.FeatureBroadcasting, comm.FeatureMulticasting, comm.FeatureUnicasting},
		},
		{[]commgrpc.Option{commgrpc.WithAddr(":0"), commgrpc.WithTLS(serverConf)}, []comm.Feature{comm.FeatureHTTPS}, nil},
	} {
		m, err := comm.New(comm.WithProvider(commgrpc.New(row.opts...)))
		if err != nil {
			t.Fatal(err)
		}
		list, err := m.Features("grpc")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range row.has {
			if !slices.Contains(list, f) {
				t.Errorf("%v lacks %s", list, f)
			}
		}
		for _, f := range row.lacks {
			if slices.Contains(list, f) {
				t.Errorf("%v has %s", list, f)
			}
		}
	}
}
