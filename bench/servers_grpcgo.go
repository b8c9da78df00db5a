package main

import (
	"context"
	"crypto/rand"
	"log"
	"net/http"
	"sync"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/types/known/timestamppb"

	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// grpcGoSubject is grpc-go alone, on a port of its own.
type grpcGoSubject struct{}

// grpcHTTPSubject is grpc-go behind net/http, by grpc.Server.ServeHTTP.
type grpcHTTPSubject struct{}

func init() {
	register(grpcGoSubject{})
	register(grpcHTTPSubject{})
}

func (grpcGoSubject) Name() string   { return "grpc-go" }
func (grpcGoSubject) Module() string { return "google.golang.org/grpc" }
func (grpcGoSubject) Config() string {
	return "gRPC: grpc.Server.Serve with its defaults on a port of its own, no interceptors; to many streams one grpc.PreparedMsg, sent to one after the other"
}

func (grpcHTTPSubject) Name() string   { return "grpc-http" }
func (grpcHTTPSubject) Module() string { return "google.golang.org/grpc" }
func (grpcHTTPSubject) Config() string {
	return "gRPC: grpc.Server.ServeHTTP on net/http with unencrypted HTTP/2, no interceptors"
}

// payloadService sends a payload back.
type payloadService struct {
	testpb.UnimplementedTestServiceServer
}

func (payloadService) UnaryCall(_ context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: in.GetPayload()}, nil
}

// Calls serves on grpc-go's own transport.
func (grpcGoSubject) Calls(s *spec) (hub, error) {
	g := grpc.NewServer()
	testpb.RegisterTestServiceServer(g, payloadService{})
	e, err := serveGRPC(s, g)
	return echoing{e}, err
}

func serveGRPC(s *spec, g *grpc.Server) (entry, error) {
	ln, err := s.listen()
	if err != nil {
		return entry{}, err
	}
	go func() { log.Fatal(g.Serve(ln)) }()
	return entry{Addr: ln.Addr().String(), GRPC: subscribePath}, nil
}

// Calls serves by net/http.
func (grpcHTTPSubject) Calls(s *spec) (hub, error) {
	g := grpc.NewServer()
	testpb.RegisterTestServiceServer(g, payloadService{})
	ln, err := s.listen()
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: g, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go func() { log.Fatal(srv.Serve(ln)) }()
	return echoing{entry{Addr: ln.Addr().String()}}, nil
}

// streamLoop is a loop over all streams: no hub at all.
type streamLoop struct {
	commv1.UnimplementedHubServiceServer
	entry entry

	mu      sync.Mutex
	streams []grpc.ServerStream
	sent    uint64
}

// GRPCStreams serves the streams.
func (grpcGoSubject) GRPCStreams(s *spec) (hub, error) {
	h := &streamLoop{}
	g := grpc.NewServer()
	commv1.RegisterHubServiceServer(g, h)
	var err error
	h.entry, err = serveGRPC(s, g)
	return h, err
}

func (h *streamLoop) Entry() entry { return h.entry }

func (h *streamLoop) Members() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// Subscribe answers, and keeps the stream.
func (h *streamLoop) Subscribe(_ *commv1.SubscribeRequest, out grpc.ServerStreamingServer[commv1.SubscribeResponse]) error {
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	h.mu.Lock()
	h.streams = append(h.streams, out)
	h.mu.Unlock()
	<-out.Context().Done()
	return nil
}

// Publish encodes a message as the hub's are, once, and sends it to all.
func (h *streamLoop) Publish(group int, payload []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent++
	m := &commv1.SubscribeResponse{Frames: []*commv1.Frame{{
		Op: commv1.Op_OP_MESSAGE, Id: rand.Text(),
		Message: &commv1.Message{
			Type: "event", Content: payload, ContentType: "application/json", To: "group:" + groupName(group), Timestamp: timestamppb.Now(),
		},
		Log: &commv1.LogPosition{Log: "group:" + groupName(group), Epoch: "aaaaaaaa.aaaaaaaa", Offset: h.sent},
	}}}
	var prepared grpc.PreparedMsg
	for i, stream := range h.streams {
		if i == 0 {
			if err := prepared.Encode(stream, m); err != nil {
				return err
			}
		}
		if err := stream.SendMsg(&prepared); err != nil {
			return err
		}
	}
	return nil
}
