package commgrpc_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// TestVectors takes every frame of PROTOCOL.md through protobuf: what JSON says of it before and after is the same.
func TestVectors(t *testing.T) {
	t.Parallel()
	list, err := commtest.Vectors()
	if err != nil {
		t.Fatal(err)
	}
	valid := 0
	for _, v := range list {
		if v.Error != "" {
			continue
		}
		valid++
		f, err := comm.JSON().ParseFrame([]byte(v.Frame))
		if err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(commgrpc.ToWire(f))
		if err != nil {
			t.Errorf("%s: %s: %v", v.File, v.Name, err)
			continue
		}
		got, err := commgrpc.ParseFrame(b)
		if err != nil {
			t.Errorf("%s: %s: %v", v.File, v.Name, err)
			continue
		}
		if want, have := asJSON(t, f), asJSON(t, got); want != have {
			t.Errorf("%s: %s: %s, want %s", v.File, v.Name, have, want)
		}
	}
	if valid < 40 {
		t.Errorf("%d vectors are valid frames, want more", valid)
	}
}

func asJSON(t testing.TB, f *comm.Frame) string {
	t.Helper()
	b, err := comm.JSON().AppendFrame(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFrameFormat: elements that follow one another are one message.
func TestFrameFormat(t *testing.T) {
	t.Parallel()
	m, err := comm.NewMessage("chat", "hello", comm.WithID("m1"))
	if err != nil {
		t.Fatal(err)
	}
	frames := []*comm.Frame{
		{Op: comm.OpJoined, Group: "lobby", Log: comm.LogPosition{Log: "group:lobby", Epoch: "k", Offset: 7}},
		{Op: comm.OpMessage, ID: "m1", Message: m, Log: comm.LogPosition{Log: "group:lobby", Epoch: "k", Offset: 8}},
		{Op: comm.OpPing},
	}
	var all []byte
	for _, f := range frames {
		b, err := commgrpc.FrameFormat.Append(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	var got commv1.ConnectResponse
	if err := proto.Unmarshal(all, &got); err != nil {
		t.Fatal(err)
	}
	want := new(commv1.ConnectResponse)
	for _, f := range frames {
		want.Frames = append(want.Frames, commgrpc.ToWire(f))
	}
	if !proto.Equal(&got, want) {
		t.Fatalf("%v, want %v", &got, want)
	}
}

// TestBadFrames: each rule that a frame can break, with the code and the id that its sender is told.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	message := func(m *commv1.Message) *commv1.Frame {
		return &commv1.Frame{Op: commv1.Op_OP_MESSAGE, Id: "a", Message: m}
	}
	for name, c := range map[string]struct {
		frame *commv1.Frame
		code  comm.Code
		id    string
		names string
	}{
		"nothing":             {&commv1.Frame{}, comm.CodeBadFrame, "", "neither op nor message"},
		"long id":             {&commv1.Frame{Op: commv1.Op_OP_PING, Id: strings.Repeat("x", 129)}, comm.CodeBadFrame, "", "128"},
		"control in id":       {&commv1.Frame{Op: commv1.Op_OP_PING, Id: "a\n"}, comm.CodeBadFrame, "", "id"},
		"unknown op":          {&commv1.Frame{Op: 99, Id: "a"}, comm.CodeUnknownOp, "a", "99"},
		"negative op":         {&commv1.Frame{Op: -1, Id: "a"}, comm.CodeUnknownOp, "a", "-1"},
		"no type":             {message(nil), comm.CodeBadMessage, "a", "type"},
		"long type":           {message(&commv1.Message{Type: strings.Repeat("x", 129)}), comm.CodeBadMessage, "a", "type"},
		"no JSON":             {message(&commv1.Message{Type: "n", Content: []byte("{")}), comm.CodeBadMessage, "a", "content"},
		"no UTF-8":            {message(&commv1.Message{Type: "n", Content: []byte{0xff}, ContentType: "text/plain"}), comm.CodeBadMessage, "a", "content"},
		"no media type":       {message(&commv1.Message{Type: "n", ContentType: "?"}), comm.CodeBadMessage, "a", "content_type"},
		"long address":        {message(&commv1.Message{Type: "n", To: strings.Repeat("x", 300)}), comm.CodeBadMessage, "a", "to"},
		"metadata, no object": {message(&commv1.Message{Type: "n", Metadata: "[1]"}), comm.CodeBadMessage, "a", "metadata"},
		"metadata, no JSON":   {message(&commv1.Message{Type: "n", Metadata: "{"}), comm.CodeBadMessage, "a", "metadata"},
		"many headers":        {message(&commv1.Message{Type: "n", Headers: manyHeaders(65)}), comm.CodeBadMessage, "a", "headers"},
		"no time": {
			message(&commv1.Message{Type: "n", Timestamp: &timestamppb.Timestamp{Nanos: -1}}), comm.CodeBadFrame, "a", "timestamp",
		},
		"reply, no JSON": {
			&commv1.Frame{Op: commv1.Op_OP_REPLY, Id: "a", Message: &commv1.Message{Content: []byte("x")}}, comm.CodeBadMessage, "a", "content",
		},
		"no expiry":   {&commv1.Frame{Op: commv1.Op_OP_AUTHED, Id: "a", Expires: &timestamppb.Timestamp{Seconds: 1 << 60}}, comm.CodeBadFrame, "a", "expires"},
		"no position": {&commv1.Frame{Op: commv1.Op_OP_JOIN, Id: "a", Position: "g@k"}, comm.CodeBadPosition, "a", "g@k"},
		"no gap":      {&commv1.Frame{Op: commv1.Op_OP_GAP, Log: &commv1.LogPosition{Log: "all"}}, comm.CodeBadFrame, "", "gap"},
		"no duration": {
			&commv1.Frame{Op: commv1.Op_OP_CLOSING, Closing: &commv1.Closing{After: &durationpb.Duration{Seconds: -1}}}, comm.CodeBadFrame, "", "after",
		},
	} {
		b, err := proto.Marshal(c.frame)
		if err != nil {
			t.Fatal(err)
		}
		f, err := commgrpc.ParseFrame(b)
		fe, ok := errors.AsType[*comm.FrameError](err)
		if !ok || fe.Code != c.code || fe.ID != c.id || !strings.Contains(fe.Text, c.names) {
			t.Errorf("%s: %v, %v, want %s for %q that names %q", name, f, err, c.code, c.id, c.names)
		}
	}
}

func manyHeaders(n int) map[string]string {
	m := make(map[string]string, n)
	for i := range n {
		m[strings.Repeat("h", i+1)] = "v"
	}
	return m
}

// TestLateID: a frame that cannot be decoded is refused by its id, wherever that stands.
func TestLateID(t *testing.T) {
	t.Parallel()
	id := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "a")
	invalid := protowire.AppendString(protowire.AppendTag(nil, 7, protowire.BytesType), "\xff")
	for name, b := range map[string][]byte{"before": append(bytes.Clone(id), invalid...), "behind": append(bytes.Clone(invalid), id...)} {
		_, err := commgrpc.ParseFrame(b)
		if fe, ok := errors.AsType[*comm.FrameError](err); !ok || fe.ID != "a" || fe.Code != comm.CodeBadFrame {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTextOfAnyBytes: what a service may say and protobuf could not does not end its clients' streams.
func TestTextOfAnyBytes(t *testing.T) {
	t.Parallel()
	for _, f := range []*comm.Frame{{Op: comm.OpError, Text: "\xff"}, {Op: comm.OpClosing, Text: "\xff", Closing: new(comm.Closing)}} {
		b, err := commgrpc.FrameFormat.Append(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(b, new(commv1.ConnectResponse)); err != nil {
			t.Error(err)
		}
	}
}

// FuzzParseFrame: whatever is decoded is written so that it is read the same, and what is not is refused by a code.
func FuzzParseFrame(f *testing.F) {
	list, err := commtest.Vectors()
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range list {
		if frame, err := comm.JSON().ParseFrame([]byte(v.Frame)); err == nil {
			b, err := proto.Marshal(commgrpc.ToWire(frame))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := commgrpc.ParseFrame(data)
		if err != nil {
			fe, ok := errors.AsType[*comm.FrameError](err)
			if !ok || fe.Code == "" || fe.Text == "" || len(fe.ID) > comm.MaxIDLength {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		b, err := proto.Marshal(commgrpc.ToWire(frame))
		if err != nil {
			t.Fatal(err)
		}
		again, err := commgrpc.ParseFrame(b)
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if want, have := asJSON(t, frame), asJSON(t, again); want != have {
			t.Fatalf("%s, then %s", want, have)
		}
	})
}

// FuzzInbound: frames are taken out of any bytes as protobuf would, or the message is refused.
func FuzzInbound(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0x02, 0x08, 0x0d, 0x0a, 0x00})
	f.Add([]byte{0x12, 0x01, 0x61, 0x0a, 0x00})
	f.Add([]byte{0x0a, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, err := commgrpc.TakeFrames(data)
		var w commv1.ConnectRequest
		perr := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &w)
		switch {
		case err != nil:
			if fe, ok := errors.AsType[*comm.FrameError](err); !ok || fe.Code != comm.CodeBadFrame {
				t.Fatalf("refused with %v", err)
			}
			if perr == nil && len(w.Frames) > 0 {
				t.Fatalf("refused with %v, which protobuf takes", err)
			}
		case perr == nil && len(frames) != len(w.Frames):
			t.Fatalf("%d frames, want %d", len(frames), len(w.Frames))
		}
	})
}
