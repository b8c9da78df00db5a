package comm_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

func TestPosition(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		logs int
		ok   bool
	}{
		{"", 0, true},
		{"group:lobby@k3.1:41", 1, true},
		{"all@0:0,group:a%20b@k:1,user:%C3%A9@z.z:18446744073709551615", 3, true},
		{"group:lobby", 0, false},
		{"group:lobby@k3.1", 0, false},
		{"@k:1", 0, false},
		{"g@K:1", 0, false},
		{"g@k:01", 0, false},
		{"g@k:-1", 0, false},
		{"g@k:18446744073709551616", 0, false},
		{"g@k:1,g@k:2", 0, false},
		{"g@k:1,", 0, false},
		{"a b@k:1", 0, false},
		{"%61@k:1", 0, false}, // plain bytes are not escaped
		{"%c3%a9@k:1", 0, false},
		{"%0A@k:1", 0, false},
		{"%FF@k:1", 0, false},
		{strings.Repeat("x", comm.MaxPositionLength) + "@k:1", 0, false},
	} {
		p, err := comm.ParsePosition(tt.in)
		if (err == nil) != tt.ok || p.Len() != tt.logs {
			t.Errorf("%q: %d logs, %v", tt.in, p.Len(), err)
		}
		if tt.ok && p.String() != tt.in {
			t.Errorf("%q is written as %q", tt.in, p)
		}
	}
}

func TestPositionObserve(t *testing.T) {
	t.Parallel()
	log := func(name, epoch string, off uint64) comm.LogPosition {
		return comm.LogPosition{Log: name, Epoch: epoch, Offset: off}
	}
	var p comm.Position
	for _, step := range []struct {
		f    comm.Frame
		want string
	}{
		{comm.Frame{Op: comm.OpMessage, Log: log("group:a", "k", 9)}, ""}, // not in it
		{comm.Frame{Op: comm.OpJoined, Log: log("group:b", "k", 3)}, "group:b@k:3"},
		{comm.Frame{Op: comm.OpJoined, Log: log("group:a", "k", 0)}, "group:a@k:0,group:b@k:3"},
		{comm.Frame{Op: comm.OpMessage, Log: log("group:a", "k", 2)}, "group:a@k:2,group:b@k:3"},
		{comm.Frame{Op: comm.OpMessage, Log: log("group:a", "k", 1)}, "group:a@k:2,group:b@k:3"}, // never back
		{comm.Frame{Op: comm.OpMessage}, "group:a@k:2,group:b@k:3"},
		{comm.Frame{Op: comm.OpGap, Log: log("group:a", "k", 7), GapFrom: 3}, "group:a@k:7,group:b@k:3"},
		{comm.Frame{Op: comm.OpJoined, Log: log("group:b", "m", 0)}, "group:a@k:7,group:b@m:0"},
		{comm.Frame{Op: comm.OpGap, Log: log("group:b", "k", 0), GapFrom: 4}, "group:a@k:7,group:b@m:0"}, // of the old epoch
		{comm.Frame{Op: comm.OpLeft, Log: log("group:a", "k", 0)}, "group:b@m:0"},
	} {
		before := p.String()
		changed := p.Observe(&step.f)
		if p.String() != step.want || changed != (before != step.want) {
			t.Errorf("%v of %v: %q, changed %v; want %q", step.f.Op, step.f.Log, p, changed, step.want)
		}
	}
	c := p.Clone()
	c.Remove("group:b")
	if p.Len() != 1 || c.Len() != 0 {
		t.Error("a clone shares with its original")
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("group:lobby@k3.1:41,user:%C3%A9@z:7")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := comm.ParsePosition(s)
		if err != nil {
			return
		}
		again, err := comm.ParsePosition(p.String())
		if err != nil || again.String() != p.String() || again.Len() != p.Len() {
			t.Fatalf("%q is written as %q, then %q: %v", s, p, again, err)
		}
	})
}

func TestMessage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		typ     string
		content any
		opts    []comm.MessageOption
		member  string // of the *MessageError; empty is accepted
	}{
		{"nil", "x", nil, nil, ""},
		{"no type", "", 1, nil, "type"},
		{"long type", strings.Repeat("x", 129), 1, nil, "type"},
		{"type with a line break", "a\nb", 1, nil, "type"},
		{"long id", "x", 1, []comm.MessageOption{comm.WithID(strings.Repeat("x", 129))}, "id"},
		{"metadata array", "x", 1, []comm.MessageOption{comm.WithMetadata([]int{1})}, "metadata"},
		{"header name", "x", 1, []comm.MessageOption{comm.WithHeader("", "v")}, "headers"},
		{"header size", "x", 1, []comm.MessageOption{comm.WithHeader("k", strings.Repeat("x", 9000))}, "headers"},
		{"content type", "x", []byte("x"), []comm.MessageOption{comm.WithContentType("no type")}, "content_type"},
		{"bytes that are no JSON", "x", []byte("{"), []comm.MessageOption{comm.WithContentType("application/json")}, "content"},
		{"bytes that are no text", "x", []byte{0xff}, []comm.MessageOption{comm.WithContentType("text/plain")}, "content"},
		{"from", "x", 1, []comm.MessageOption{comm.WithFrom("a\x00")}, "from"},
	} {
		_, err := comm.NewMessage(tt.typ, tt.content, tt.opts...)
		me, ok := errors.AsType[*comm.MessageError](err)
		if ok != (tt.member != "") || ok && (me.Member != tt.member || me.Allowed == "") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := comm.NewMessage("x", func() {}); err == nil {
		t.Error("a func was marshalled")
	}
}

func TestMessageIsImmutable(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"a":1}`)
	m := message(t, "x", raw, comm.WithContentType("application/json"), comm.WithHeader("k", "v"))
	raw[2] = 'b'
	m.Headers()["k"] = "changed"
	n, err := m.With(comm.WithHeader("k", "w"), comm.WithTimestamp(time.Unix(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Content()) != `{"a":1}` || m.Header("k") != "v" || n.Header("k") != "w" || m.ID() != n.ID() {
		t.Errorf("%s %q %q", m.Content(), m.Header("k"), n.Header("k"))
	}
	if _, err := comm.Decode[int](message(t, "x", []byte{1})); err == nil {
		t.Error("bytes decoded into an int")
	}
	if b, err := comm.Decode[[]byte](message(t, "x", []byte{1})); err != nil || b[0] != 1 {
		t.Error(b, err)
	}
}

func TestSendTakesMessagesAlone(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	c, err := comm.NewClient([]comm.Dialer{nobody{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, msg := range []*comm.Message{nil, {}} {
		_, sent := m.Send(t.Context(), comm.ToAll(), msg)
		_, called := m.Call(t.Context(), "x", msg)
		_, asked := c.Call(t.Context(), msg)
		for _, err := range []error{sent, called, asked, c.Send(t.Context(), msg), c.SendAck(t.Context(), msg)} {
			if !isMessageError(err) {
				t.Errorf("%v: %v", msg, err)
			}
		}
	}
}

// nobody is a dialer that is never asked.
type nobody struct{ comm.Dialer }

func (nobody) Name() string { return "nobody" }

func isMessageError(err error) bool {
	_, ok := errors.AsType[*comm.MessageError](err)
	return ok
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"all", "conn:X", "user:ann", "group:a:b"} {
		if tg, err := comm.ParseTarget(s); err != nil || tg.String() != s {
			t.Errorf("%q: %q, %v", s, tg, err)
		}
	}
	for _, s := range []string{"", "lobby", "group:", "All", "conn"} {
		if _, err := comm.ParseTarget(s); !errors.Is(err, comm.ErrTarget) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	s := &comm.MemoryStore{Messages: 3, Logs: 2, Age: time.Minute}
	a, b := s.Open("a"), s.Open("b")
	if s.Open("c") != nil || s.Open("a") != a || a.Epoch() == b.Epoch() {
		t.Fatal("the number of logs, or their epochs")
	}
	now := time.Unix(100, 0)
	for i := range 5 {
		a.Append(comm.NewOutbound(message(t, "x", i)), now.Add(time.Duration(i)*time.Second))
	}
	if first, next := a.Bounds(); first != 3 || next != 6 {
		t.Fatalf("bounds %d and %d", first, next)
	}
	if got := a.Read(nil, 1, 2); len(got) != 2 || string(got[0].Frame().Message.Content()) != "2" {
		t.Fatalf("read %v", got)
	}
	if a.Expire(now.Add(63 * time.Second)) {
		t.Fatal("all has expired")
	}
	if first, _ := a.Bounds(); first != 4 {
		t.Fatalf("first is %d", first)
	}
	if !a.Expire(now.Add(time.Hour)) {
		t.Fatal("something is left")
	}
	if _, bytes := s.Size(); bytes != 0 {
		t.Fatalf("%d bytes", bytes)
	}
	s.Close("a")
	if n, _ := s.Size(); n != 1 {
		t.Fatalf("%d logs", n)
	}
	tight := &comm.MemoryStore{TotalBytes: 1000}
	l := tight.Open("l")
	for range 20 {
		l.Append(comm.NewOutbound(message(t, "x", strings.Repeat("y", 100))), now)
	}
	if _, bytes := tight.Size(); bytes > 1000 {
		t.Fatalf("%d bytes", bytes)
	}
}

// counting counts how often it encodes.
type counting struct{ n *int }

func (c counting) Append(dst []byte, f *comm.Frame) ([]byte, error) {
	*c.n++
	return comm.JSON().AppendFrame(dst, f)
}

// A history keeps no bytes beside its messages from one check to the next: with them it would weigh twice as much.
// Whoever is given a message later has it encoded once more, for all others too, to the same bytes.
func TestHistoryKeepsNoEncodings(t *testing.T) {
	t.Parallel()
	const all = 200
	now, encoded := time.Unix(100, 0), 0
	log := (&comm.MemoryStore{}).Open("l")
	texts := make([]string, all)
	for i := range all {
		o := comm.NewOutbound(message(t, "x", i))
		log.Append(o, now)
		b, err := o.Bytes(counting{&encoded})
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(b)
	}
	for _, c := range []struct {
		after  string
		before func()
		anew   int
	}{
		{"appending", func() {}, 0},
		{"a check", func() { log.Expire(now) }, all},
		{"reading", func() {}, 0},
		{"another check", func() { log.Expire(now) }, all},
	} {
		c.before()
		encoded = 0
		for i, o := range log.Read(nil, 1, all) {
			if b, err := o.Bytes(counting{&encoded}); err != nil || string(b) != texts[i] {
				t.Fatalf("after %s, entry %d is %s, %v", c.after, i, b, err)
			}
		}
		same(t, "entries encoded anew after "+c.after, encoded, c.anew)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := comm.Backoff{Base: time.Second, Max: 5 * time.Second, NoJitter: true}
	for attempt, want := range []time.Duration{1, 2, 4, 5, 5} {
		if got := b.Delay(attempt); got != want*time.Second {
			t.Errorf("attempt %d: %v", attempt, got)
		}
	}
	var zero comm.Backoff
	if zero.Bound(-1) != 500*time.Millisecond || zero.Bound(10_000) != 30*time.Second || zero.Stable(9*time.Second) || !zero.Stable(10*time.Second) {
		t.Error("the defaults")
	}
	for range 1000 {
		if d := zero.Delay(3); d < 0 || d > 4*time.Second {
			t.Fatalf("delay %v", d)
		}
	}
}

// Every reason has a code of its own that a close frame can carry, but for the two that share 1000.
func TestReasons(t *testing.T) {
	t.Parallel()
	seen := map[int]string{}
	for k := comm.ReasonNormal; k <= comm.ReasonTryLater; k++ {
		r := comm.CloseReason{Kind: k}
		if other, dup := seen[r.Code()]; dup && r.Code() != 1000 {
			t.Errorf("%v and %s share %d", k, other, r.Code())
		}
		seen[r.Code()] = k.String()
		if comm.ReasonOfCode(comm.Code(k.String())) != k {
			t.Errorf("%v is not found by its name", k)
		}
		if got := comm.ReasonOfStatus(r.Code(), "").Kind; got != k && r.Code() != 1000 {
			t.Errorf("%d is %v, want %v", r.Code(), got, k)
		}
		if !errors.Is(r, comm.ErrClosed) || comm.ReasonOf(r) != k || !strings.Contains(r.Error(), k.String()) {
			t.Errorf("%v as an error", r)
		}
	}
}
