package commtest_test

import (
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func pipeSetup(*testing.T) commtest.Setup {
	return commtest.Setup{
		Provider: commtest.NewPipe(),
		Dialer:   func(e commtest.Endpoint) comm.Dialer { return commtest.PipeDialer(e) },
		SendRaw:  commtest.PipeSendRaw, Backpressure: true, Verdict: true,
	}
}

func TestPipe(t *testing.T) { commtest.Run(t, pipeSetup) }

func TestModelOverPipes(t *testing.T) {
	for _, memory := range []bool{true, false} {
		t.Run(map[bool]string{true: "memory", false: "sockets"}[memory], func(t *testing.T) {
			p := commtest.NewPipe()
			c := commtest.ModelCarrier{Provider: p, Dialer: commtest.PipeDialer}
			m := commtest.Model{Carriers: []commtest.ModelCarrier{c, c, c}, Memory: memory}
			if !memory {
				m.Cuts = 300 // sockets cost more, and the providers' own models use them
			}
			commtest.RunModel(t, m)
		})
	}
}
