package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/net/http2/hpack"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
)

const warmUp = 300 * time.Millisecond

// driveCalls keeps s.Flight calls under way on every connection.
func driveCalls(s *spec) (metrics, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	c, err := dialControl(s)
	if err != nil {
		return nil, err
	}
	run := &callRun{receiver: newReceiver(s, l), loop: l}
	err = connect(s, l, func(s *spec, index, _ int) (*wire, error) { return run.dial(s, index) })
	if err == nil {
		err = run.until(time.Now().Add(s.Warm))
	}
	if err != nil {
		return nil, err
	}
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	run.got, run.timed, run.samples = 0, true, run.samples[:0]
	if err := run.until(time.Now().Add(s.Measure)); err != nil {
		return nil, err
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	out := m.report(run.got)
	run.latency(out)
	return out, run.finish()
}

// callRun is all connections with their calls.
type callRun struct {
	*receiver
	loop   *loop
	owed   int // calls under way
	ending bool
}

func (r *callRun) until(end time.Time) error {
	for time.Now().Before(end) {
		if err := r.loop.turn(100, r.answered); err != nil {
			return err
		}
	}
	return nil
}

// answered counts a call that has ended as it should; its time is in the frame.
func (r *callRun) answered(_ *wire, _ serverFrame) error {
	r.got++
	r.owed--
	return nil
}

// finish waits for what is under way: nothing may be lost.
func (r *callRun) finish() error {
	r.ending = true
	for end := time.Now().Add(patience); r.owed > 0; {
		if time.Now().After(end) {
			return fmt.Errorf("%d calls were never answered", r.owed)
		}
		if err := r.loop.turn(100, r.answered); err != nil {
			return err
		}
	}
	return nil
}

// h2Calls is the framing of a connection that carries calls.
type h2Calls struct {
	run     *callRun
	headers []byte // of every call
	decoder *hpack.Decoder
	status  string    // the last grpc-status that was decoded
	calls   []*h2Call // one for each that is in flight
	next    uint32    // stream
	out     []byte    // calls to be sent
	credit  int       // bytes that came since the connection's window was last widened
}

// h2Call is one call under way.
type h2Call struct {
	stream  uint32
	sent    int64
	request []byte
	want    []byte
	answer  []byte // so far
}

// dial connects and makes the first calls. A server that waits for a call before it says more gets it at once.
func (r *callRun) dial(s *spec, index int) (*wire, error) {
	w, err := openWire(s, index, "h2")
	if err != nil {
		return nil, err
	}
	h := &h2Calls{run: r, headers: grpcRequest(s.Entry.Addr, unaryPath), next: 1}
	h.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == "grpc-status" {
			h.status = f.Value
		}
	})
	h.out = appendGRPCPreface(nil)
	for i := range s.Flight {
		c := &h2Call{}
		if c.request, c.want, err = unaryFrames(index*s.Flight+i, s.Size); err != nil {
			return nil, err
		}
		h.calls = append(h.calls, c)
		h.call(c)
	}
	w.frames, w.waits = h, false
	return w, h.flush(w)
}

// unaryFrames are a call with a payload of its own, and the answer to it.
func unaryFrames(number, size int) (request, want []byte, err error) {
	payload := &testpb.Payload{Body: appendPayload(nil, uint64(number), time.Now(), size)}
	in, err1 := proto.Marshal(&testpb.SimpleRequest{Payload: payload})
	out, err2 := proto.Marshal(&testpb.SimpleResponse{Payload: payload})
	return appendGRPCFrame(nil, in), appendGRPCFrame(nil, out), errors.Join(err1, err2)
}

func appendGRPCFrame(dst, content []byte) []byte {
	dst = append(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(content)))
	return append(dst, content...)
}

// appendGRPCPreface opens a connection whose streams are never held up by flow control.
func appendGRPCPreface(dst []byte) []byte {
	dst = append(dst, h2Preface...)
	dst = appendH2Frame(dst, h2Settings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 4}, 1<<30)) // INITIAL_WINDOW_SIZE
	return appendH2Frame(dst, h2Window, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30))
}

// grpcRequest is the header of a call, each field in the plainest form of RFC 7541 6.
func grpcRequest(authority, path string) []byte {
	literal := func(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) } // below 127 bytes
	b := []byte{0x83, 0x86}                                                                     // :method POST, :scheme http
	b = literal(append(b, 0x01), authority)
	b = literal(append(b, 0x04), path)
	for _, f := range [][2]string{
		{"content-type", "application/grpc"}, {"user-agent", "grpc-go/1.85.0"}, {"te", "trailers"}, {"authorization", "Bearer " + token},
	} {
		b = literal(literal(append(b, 0x00), f[0]), f[1])
	}
	return b
}

// call begins a call once more.
func (h *h2Calls) call(c *h2Call) {
	c.stream, c.sent, c.answer = h.next, time.Now().UnixNano(), c.answer[:0]
	h.out = appendH2Frame(h.out, h2Headers, h2EndHeaders, h.next, h.headers)
	h.out = appendH2Frame(h.out, h2Data, h2EndStream, h.next, c.request)
	h.next += 2
	h.run.owed++
}

func (h *h2Calls) flush(w *wire) error {
	out := h.out
	h.out = h.out[:0]
	if len(out) == 0 {
		return nil
	}
	return w.write(out)
}

// parse answers what one read has brought by one write.
func (h *h2Calls) parse(w *wire, b []byte, deliver func(*wire, serverFrame) error) ([]byte, error) {
	rest, err := eachH2Frame(b, func(typ, flags byte, stream uint32, payload []byte) error {
		return h.frame(w, typ, flags, stream, payload, deliver)
	})
	if err != nil {
		return nil, err
	}
	return rest, h.flush(w)
}

func (h *h2Calls) frame(w *wire, kind, flags byte, stream uint32, p []byte, deliver func(*wire, serverFrame) error) error {
	switch kind {
	case h2Settings, h2Ping:
		if flags&h2Ack != 0 {
			return nil
		}
		if kind == h2Settings {
			p = nil
		}
		h.out = appendH2Frame(h.out, kind, h2Ack, 0, p)
	case h2GoAway:
		return fmt.Errorf("the server goes away: %x", p)
	case h2Reset:
		return fmt.Errorf("the server ended stream %d: %x", stream, p)
	case h2Headers, h2Data:
		i := slices.IndexFunc(h.calls, func(c *h2Call) bool { return c.stream == stream })
		if i < 0 || flags&h2Padded != 0 {
			return errors.New("a frame of no call that is under way, or padded")
		}
		if kind == h2Data {
			return h.data(h.calls[i], flags, p)
		}
		return h.header(w, h.calls[i], flags, p, deliver)
	}
	return nil
}

func (h *h2Calls) data(c *h2Call, flags byte, p []byte) error {
	if flags&h2EndStream != 0 {
		return errors.New("a call without trailers")
	}
	c.answer = append(c.answer, p...)
	if h.credit += len(p); h.credit > 1<<28 {
		h.out = appendH2Frame(h.out, h2Window, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(h.credit)))
		h.credit = 0
	}
	return nil
}

// header takes a response's headers, and its trailers, with which the call has ended and the next begins.
func (h *h2Calls) header(w *wire, c *h2Call, flags byte, p []byte, deliver func(*wire, serverFrame) error) error {
	if flags&h2EndHeaders == 0 {
		return errors.New("a header in several frames")
	}
	h.status = ""
	if _, err := h.decoder.Write(p); err != nil {
		return err
	}
	if flags&h2EndStream == 0 {
		return nil
	}
	if h.status != "0" || !bytes.Equal(c.answer, c.want) {
		return fmt.Errorf("a call ends with status %q and %d bytes: %.100q", h.status, len(c.answer), c.answer)
	}
	if h.run.timed {
		h.run.samples = append(h.run.samples, uint32(max(0, h.run.from.read()-c.sent)/sampleUnit))
	}
	if err := deliver(w, serverFrame{payload: c.answer}); err != nil || h.run.ending {
		return err
	}
	h.call(c)
	return nil
}
