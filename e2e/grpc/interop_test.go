package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// What a process that plays a case is told.
const (
	caseVariable        = "COMM_E2E_CASE"
	addressVariable     = "COMM_E2E_ADDRESS"
	certificateVariable = "COMM_E2E_CERTIFICATE" // DER in base64; empty in cleartext
)

// caseTimeout bounds one case; those that wait do so for less than two seconds.
const caseTimeout = 2 * time.Minute

// client is what a case calls the server by.
type client struct {
	cc     *grpc.ClientConn
	test   testpb.TestServiceClient
	absent testpb.UnimplementedServiceClient
}

// byTest is a case of the test service without more.
func byTest(f func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) func(context.Context, client) {
	return func(ctx context.Context, c client) { f(ctx, c.test) }
}

// cases are those of grpc-go's client, by the names of doc/interop-test-descriptions.md, except what needs
// accounts, several servers or load reports. Each ends its process where something is wrong.
var cases = map[string]func(context.Context, client){
	"empty_unary":                 byTest(interop.DoEmptyUnaryCall),
	"large_unary":                 byTest(interop.DoLargeUnaryCall),
	"client_streaming":            byTest(interop.DoClientStreaming),
	"server_streaming":            byTest(interop.DoServerStreaming),
	"ping_pong":                   byTest(interop.DoPingPong),
	"empty_stream":                byTest(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  byTest(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          byTest(interop.DoCancelAfterBegin),
	"cancel_after_first_response": byTest(interop.DoCancelAfterFirstResponse),
	"status_code_and_message":     byTest(interop.DoStatusCodeAndMessage),
	"special_status_message":      byTest(interop.DoSpecialStatusMessage),
	"custom_metadata":             byTest(interop.DoCustomMetadata),
	"unimplemented_method":        func(_ context.Context, c client) { interop.DoUnimplementedMethod(context.Background(), c.cc) },
	"unimplemented_service":       func(ctx context.Context, c client) { interop.DoUnimplementedService(ctx, c.absent) },
}

// playCase is the process of one case. The cases log what is wrong and end the process with status 1.
func playCase(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	creds := insecure.NewCredentials()
	if text := os.Getenv(certificateVariable); text != "" {
		der, err := base64.StdEncoding.DecodeString(text)
		check(err)
		cert, err := x509.ParseCertificate(der)
		check(err)
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		creds = credentials.NewTLS(&tls.Config{RootCAs: roots})
	}
	cc, err := grpc.NewClient(os.Getenv(addressVariable), grpc.WithTransportCredentials(creds))
	check(err)
	cases[name](ctx, client{cc, testpb.NewTestServiceClient(cc), testpb.NewUnimplementedServiceClient(cc)})
	check(cc.Close())
	fmt.Println("passed", name)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runCases plays every case against an address, each in a process of its own.
func runCases(t *testing.T, addr string, certificate []byte) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), caseVariable+"="+name, addressVariable+"="+addr,
				certificateVariable+"="+base64.StdEncoding.EncodeToString(certificate))
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("passed "+name)) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func TestInterop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		secure, alone bool
	}{
		{"shared address", false, false},
		{"shared address, TLS", true, false},
		{"address of its own", false, true},
		{"address of its own, TLS", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, c.secure, c.alone)
			var cert []byte
			if c.secure {
				cert = g.certificate(t)
			}
			runCases(t, g.addr, cert)
			if n := g.web.n.Load(); n != 0 {
				t.Errorf("%d calls came as HTTP requests, not over gRPC's own transport", n)
			}
		})
	}
}

// A proxy carries calls and pages over one connection, which therefore is net/http's.
func TestInteropMixed(t *testing.T) {
	t.Parallel()
	g := start(t, false, false)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	get, err := (&http.Client{Transport: transport}).Get("http://" + g.addr + "/page")
	if err != nil || get.StatusCode != http.StatusOK || get.ProtoMajor != 2 {
		t.Fatal(get, err)
	}
	get.Body.Close()

	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: g.addr})
	proxy.Transport, proxy.FlushInterval = transport, -1
	proxy.ErrorLog = log.New(io.Discard, "", 0) // it complains about calls that were cancelled
	front := httptest.NewUnstartedServer(proxy)
	front.Config.Protocols = transport.Protocols
	front.Start()
	t.Cleanup(front.Close)
	runCases(t, front.Listener.Addr().String(), nil)
	if n := g.web.n.Load(); n < int64(len(cases)-2) { // what is not there has no handler
		t.Errorf("only %d calls came as HTTP requests", n)
	}
}
