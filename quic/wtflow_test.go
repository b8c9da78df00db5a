package commquic_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	commquic "github.com/anasamu/comm/quic"
)

// The capsules of flow control.
const (
	maxData, maxStreamData, maxBidi, maxUni                 = 0x190b4d3d, 0x190b4d3e, 0x190b4d3f, 0x190b4d40
	dataBlocked, streamDataBlocked, bidiBlocked, uniBlocked = 0x190b4d41, 0x190b4d42, 0x190b4d43, 0x190b4d44
)

func tells(t *testing.T, f commquic.Flow, want ...commquic.Limit) {
	t.Helper()
	if got := f.Told(); !slices.Equal(got, want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
}

// What may be sent follows the peer's limits, and who waits hears of more.
func TestFlowOut(t *testing.T) {
	t.Parallel()
	begun := 0
	f := commquic.NewFlow([3]uint64{1, 1, 1}, [3]uint64{100, 1, 2}, func() { begun++ })
	if n := f.Grant(60); n != 60 || !f.Reserve(40) || f.Reserve(1) || f.Grant(1) != 0 {
		t.Error("of 100 bytes 60 and 40 were granted, and no more")
	}
	tells(t, f, commquic.Limit{Type: dataBlocked, Number: 100})
	f.Refund(40)
	if n := f.Grant(60); n != 40 {
		t.Errorf("granted %d of 40", n)
	}
	for _, uni := range []bool{true, true, false} {
		if f.Open(uni) != nil {
			t.Error("a stream within the limits waits")
		}
	}
	for range 3 { // told once
		if f.Open(true) == nil || f.Open(false) == nil {
			t.Error("streams beyond the limits")
		}
	}
	more := f.Open(true)
	f.Unopen(true)
	<-more
	if f.Open(true) != nil {
		t.Error("the place that was given back")
	}
	more = f.Open(true)
	tells(t, f, commquic.Limit{Type: bidiBlocked, Number: 1}, commquic.Limit{Type: uniBlocked, Number: 2})
	tells(t, f)
	if begun != 2 {
		t.Errorf("the telling has begun %d times", begun)
	}
	for _, l := range []commquic.Limit{{maxData, 130}, {maxUni, 3}} {
		if err := f.Allow(l); err != nil {
			t.Error(err)
		}
	}
	<-more
	if n := f.Grant(1000); n != 30 {
		t.Errorf("granted %d of 30 further bytes", n)
	}
	if f.Open(true) != nil {
		t.Error("the further stream waits")
	}
	for _, uni := range []bool{true, false} {
		if f.Open(uni) == nil {
			t.Error("a stream beyond the raised limits")
		}
	}
	f.Told()
	f.End()
	f.Open(true)
	tells(t, f)
}

// Credit that was taken and is given back wakes who waits for it: the peer has nothing more to say.
func TestFlowRefundWakes(t *testing.T) {
	t.Parallel()
	f := commquic.NewFlow([3]uint64{1, 1, 1}, [3]uint64{100, 1, 1}, func() {})
	if !f.Reserve(100) {
		t.Fatal("all is free")
	}
	more := f.Blocked()
	f.Refund(100)
	select {
	case <-more:
	default:
		t.Error("who waits is not told")
	}
	if f.Blocked() != nil || f.Grant(100) != 100 {
		t.Error("the credit is not there")
	}
}

// A peer that has streams left is told of others a quarter of them at a time, and one that has none of each.
func TestFlowRoomForStreams(t *testing.T) {
	t.Parallel()
	f := commquic.NewFlow([3]uint64{1, 1, 8}, [3]uint64{1, 1, 1}, func() {})
	open := func(n int) {
		for range n {
			if err := f.Accept(true); err != nil {
				t.Error(err)
			}
		}
	}
	open(7)
	f.Forget(true)
	tells(t, f)
	open(1) // the last one
	tells(t, f, commquic.Limit{Type: maxUni, Number: 9})
	open(1)
	tells(t, f)
	f.Forget(true)
	tells(t, f, commquic.Limit{Type: maxUni, Number: 10})
	f.Forget(true)
	tells(t, f)
	f.Forget(true)
	tells(t, f, commquic.Limit{Type: maxUni, Number: 12})
}

// What the peer says is checked.
func TestFlowLimitsOfThePeer(t *testing.T) {
	t.Parallel()
	for _, bad := range []commquic.Limit{
		{maxData, 100},
		{maxData, 99},
		{maxUni, 2},
		{maxBidi, 0},
		{maxBidi, 1<<60 + 1},
		{maxUni, 1<<62 - 1},
		{bidiBlocked, 1<<60 + 1},
		{uniBlocked, 1<<62 - 1},
		{maxStreamData, 1 << 20},
		{streamDataBlocked, 0},
	} {
		f := commquic.NewFlow([3]uint64{1, 1, 1}, [3]uint64{100, 1, 2}, func() {})
		if err := f.Allow(bad); !errors.Is(err, commquic.ErrFlowControl) {
			t.Errorf("%#x of %d: %v", bad.Type, bad.Number, err)
		}
	}
	f := commquic.NewFlow([3]uint64{1, 1, 1}, [3]uint64{100, 1, 2}, func() {})
	for _, good := range []commquic.Limit{
		{maxData, 101}, {maxData, 1<<62 - 1}, {maxBidi, 1 << 60}, {maxUni, 3}, {dataBlocked, 1<<62 - 1}, {bidiBlocked, 1 << 60}, {uniBlocked, 0},
	} {
		if err := f.Allow(good); err != nil {
			t.Errorf("%#x of %d: %v", good.Type, good.Number, err)
		}
	}
	if commquic.NewFlow([3]uint64{}, [3]uint64{1, 1, 1}, nil) != (commquic.Flow{}) || commquic.NewFlow([3]uint64{1}, [3]uint64{}, nil) != (commquic.Flow{}) {
		t.Error("flow control that only one side has announced")
	}
}

// What the peer may send grows with what is used, a quarter of the window at a time, and what it sends beyond is found.
func TestFlowIn(t *testing.T) {
	t.Parallel()
	f := commquic.NewFlow([3]uint64{1000, 4, 8}, [3]uint64{1, 1, 1}, func() {})
	if err := f.Come(1000); err != nil {
		t.Error(err)
	}
	f.Use(249)
	tells(t, f)
	f.Use(1)
	tells(t, f, commquic.Limit{Type: maxData, Number: 1250})
	f.Use(300)
	f.Use(300) // one capsule takes the other's place
	tells(t, f, commquic.Limit{Type: maxData, Number: 1850})
	if err := f.Come(850); err != nil {
		t.Error(err)
	}
	if err := f.Come(1); !errors.Is(err, commquic.ErrFlowControl) {
		t.Errorf("a byte too many: %v", err)
	}
	for n := range 10 {
		if err := f.Accept(true); (err != nil) != (n >= 8) || err != nil && !errors.Is(err, commquic.ErrFlowControl) {
			t.Errorf("stream %d: %v", n, err)
		}
	}
	f.Forget(true)
	tells(t, f, commquic.Limit{Type: maxUni, Number: 9})
	f.Forget(true)
	tells(t, f)
	for n := range 3 {
		if err := f.Accept(true); (err != nil) != (n >= 2) {
			t.Errorf("further stream %d: %v", n, err)
		}
	}
	tells(t, f, commquic.Limit{Type: maxUni, Number: 10})
	f.Forget(false)
	tells(t, f, commquic.Limit{Type: maxBidi, Number: 5})
}

// The bytes of a stream are used once, whether they are read, or are known only by the stream's length.
func TestFlowOfOneStream(t *testing.T) {
	t.Parallel()
	const window, head = 1 << 20, 2
	for name, test := range map[string]struct {
		do   func(i commquic.Intake)
		used uint64
		come uint64
	}{
		"read to the end":          {func(i commquic.Intake) { i.Took(60); i.Took(40); i.Size(100 + head); i.GiveUp() }, 100, 100},
		"the end is known before":  {func(i commquic.Intake) { i.Took(10); i.Size(100 + head); i.Took(90); i.GiveUp() }, 100, 100},
		"reset after some":         {func(i commquic.Intake) { i.Took(10); i.Size(100 + head); i.GiveUp() }, 100, 100},
		"stopped before its end":   {func(i commquic.Intake) { i.Took(10); i.GiveUp(); i.Size(100 + head) }, 100, 100},
		"stopped twice":            {func(i commquic.Intake) { i.GiveUp(); i.Size(100 + head); i.GiveUp(); i.Took(5) }, 100, 100},
		"waits to be read":         {func(i commquic.Intake) { i.Took(10); i.Size(100 + head) }, 10, 100},
		"stopped, not yet ended":   {func(i commquic.Intake) { i.Took(10); i.GiveUp() }, 10, 10},
		"empty":                    {func(i commquic.Intake) { i.Took(0); i.Size(head); i.GiveUp() }, 0, 0},
		"reset within its header":  {func(i commquic.Intake) { i.Size(1); i.GiveUp() }, 0, 0},
		"nothing of it counts now": {func(i commquic.Intake) { i.Took(-1) }, 0, 0},
	} {
		f := commquic.NewFlow([3]uint64{window, 1, 1}, [3]uint64{1, 1, 1}, func() {})
		test.do(commquic.NewIntake(f, func(err error) { t.Errorf("%s: %v", name, err) }))
		f.Use(window/2 - test.used)
		tells(t, f, commquic.Limit{Type: maxData, Number: window/2 + window})
		if err := f.Come(window + window/2 - test.come); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Come(1); err == nil {
			t.Errorf("%s: fewer than %d bytes have come", name, test.come)
		}
	}
	f := commquic.NewFlow([3]uint64{10, 1, 1}, [3]uint64{1, 1, 1}, func() {})
	var wrong []error
	i := commquic.NewIntake(f, func(err error) { wrong = append(wrong, err) })
	i.Took(10)
	if i.Took(1); len(wrong) != 0 { // the first ten are used: the peer has more
		t.Error(wrong)
	}
	i.Size(11 + 10 + head)
	if len(wrong) != 1 || !errors.Is(wrong[0], commquic.ErrFlowControl) {
		t.Error(wrong)
	}
}

// FuzzFlowCapsules reads anything as capsules of a session with flow control.
func FuzzFlowCapsules(f *testing.F) {
	f.Add(commquic.AppendLimit(nil, commquic.Limit{Type: maxData, Number: 1 << 40}))
	f.Add(commquic.AppendLimit(commquic.AppendLimit(nil, commquic.Limit{Type: maxBidi, Number: 9}), commquic.Limit{Type: maxUni, Number: 1 << 60}))
	f.Add(commquic.AppendLimit([]byte{0x78, 0xae, 0}, commquic.Limit{Type: uniBlocked, Number: 1}))
	f.Add([]byte{0x99, 0x0b, 0x4d, 0x3d, 0})
	f.Add([]byte{0x99, 0x0b, 0x4d, 0x3d, 2, 1, 1})
	f.Add([]byte{0x99, 0x0b, 0x4d, 0x3d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		flow := commquic.NewFlow([3]uint64{1, 1, 1}, [3]uint64{8, 8, 8}, func() {})
		err := commquic.ReadFlowCapsules(bytes.NewReader(b), flow)
		if err == nil || errors.Is(err, commquic.ErrFlowControl) {
			return
		}
		again := commquic.NewFlow([3]uint64{1, 1, 1}, [3]uint64{8, 8, 8}, func() {})
		if err2 := commquic.ReadFlowCapsules(bytes.NewReader(b), again); err2 == nil {
			t.Errorf("%v, and then nothing", err)
		}
	})
}

// A connection that is lost within a capsule is no fault of the peer's flow control.
func TestFlowCapsuleCutOff(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	flow := commquic.NewFlow([3]uint64{1, 1, 1}, [3]uint64{8, 8, 8}, func() {})
	whole := commquic.AppendLimit(nil, commquic.Limit{Type: maxData, Number: 1 << 40})
	for n := 1; n < len(whole); n++ {
		r := io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(lost))
		if err := commquic.ReadFlowCapsules(r, flow); !errors.Is(err, lost) || errors.Is(err, commquic.ErrFlowControl) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
