package main

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"

	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// connectGRPC connects the spec's members, s.Streams on each connection.
func connectGRPC(s *spec, l *loop) error {
	connections := *s
	connections.Streams = min(s.Streams, s.Conns)
	connections.Conns = s.Conns / connections.Streams
	return connect(&connections, l, dialGRPC)
}

// dialGRPC opens one HTTP/2 connection with the spec's server streams on it, each a member of a group.
func dialGRPC(s *spec, index, _ int) (*wire, error) {
	w, err := openWire(s, index, "h2")
	if err != nil {
		return nil, err
	}
	h := &h2Streams{content: grpcMessages{}}
	out := appendGRPCPreface(nil)
	headers := grpcRequest(s.Entry.Addr, s.Entry.GRPC)
	for i := range s.Streams {
		member := &wire{index: index*s.Streams + i}
		member.group = member.index % max(1, s.Groups)
		h.members = append(h.members, member)
		request, err := proto.Marshal(&commv1.SubscribeRequest{Groups: []string{groupName(member.group)}})
		if err != nil {
			return nil, err
		}
		stream := uint32(2*i + 1)
		out = appendH2Frame(out, h2Headers, h2EndHeaders, stream, headers)
		out = appendH2Frame(out, h2Data, h2EndStream, stream, appendGRPCFrame(nil, request))
	}
	return w, h.start(w, out)
}

// grpcMessages is a stream of gRPC messages; what is delivered is one of them.
type grpcMessages struct{}

func (grpcMessages) parse(w *wire, b []byte, deliver func(*wire, serverFrame) error) ([]byte, error) {
	const head = 5
	for len(b) >= head {
		n := int(binary.BigEndian.Uint32(b[1:]))
		if b[0] != 0 {
			return nil, fmt.Errorf("a message with the flags %#x", b[0])
		}
		if len(b) < head+n {
			break
		}
		if err := deliver(w, serverFrame{fin: true, payload: b[head : head+n]}); err != nil {
			return nil, err
		}
		b = b[head+n:]
	}
	return b, nil
}
