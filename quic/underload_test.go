package commquic_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// A provider that is stopped and started while clients of both carriers talk, on lanes and in datagrams, has them
// all back each time, and leaves no goroutine behind.
func TestRestartUnderLoad(t *testing.T) {
	m := gateway(t, commquic.New(commquic.WithAddr(freePort(t))), comm.WithHandshakeRate(10_000, 10_000), comm.WithMessageRate(100_000, 100_000),
		comm.WithDrainSpread(50*time.Millisecond))
	addr := addrOf(t, m)
	before := settledGoroutines()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 12)
	backoff := comm.WithBackoff(comm.Backoff{Base: 20 * time.Millisecond, Max: 200 * time.Millisecond})
	for i := range cap(ended) {
		d := commquic.Dialer(addr, trusting(gone)...)
		if i%2 == 1 {
			d = commquic.WebTransportDialer("https://"+addr+"/wt", trusting(gone)...)
		}
		c, err := comm.NewClient([]comm.Dialer{d}, comm.WithGroups("g"), backoff, comm.WithClientLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- c.Run(ctx) }()
	}
	body := message(t, "n", strings.Repeat("x", 800))
	talking := make(chan struct{})
	go func() {
		defer close(talking)
		ways := [][]comm.SendOption{nil, {comm.WithLane("a")}, {comm.WithPriority(comm.PriorityHigh)}, {comm.WithUnreliable()}}
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = m.Send(ctx, comm.ToGroup("g"), body, append(ways[i%len(ways)], comm.WithoutHistory())...) // nobody may be there
			if i%4 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for range 4 {
		eventually(t, "all clients to be there", func() bool { return m.ConnectionCount(comm.ToGroup("g")) == cap(ended) })
		stopping, done := context.WithTimeout(t.Context(), patience)
		if err := m.Stop(stopping, "quic"); err != nil {
			t.Fatal(err)
		}
		done()
		if err := m.Start(t.Context(), "quic"); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-talking
	for range cap(ended) {
		<-ended
	}
	eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+4+kept() })
}
