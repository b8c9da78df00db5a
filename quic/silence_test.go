package commquic_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	commquic "github.com/anasamu/comm/quic"
)

// mute is a server that may send nothing, and when it was asked.
type mute struct {
	mu      sync.Mutex
	packets uint64
	began   time.Time
	asked   []time.Duration
}

func (m *mute) received() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.packets
}

func (m *mute) say() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, time.Since(m.began))
}

// sends is a packet of the server's.
func (m *mute) sends() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.packets++
}

func (m *mute) heard() []time.Duration {
	synctest.Wait() // for who looks at this moment
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

// A server that sends a packet now and then is asked nothing. One that is silent is asked once, soon after it should
// have acknowledged a keep-alive, and once more when it was heard meanwhile.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mute{began: time.Now()}
		stop := commquic.WatchSilence(15*time.Second, m.received, m.say)
		defer stop()
		for range 20 { // as often as they come at least
			time.Sleep(15 * time.Second)
			m.sends()
		}
		if asked := m.heard(); len(asked) != 0 {
			t.Errorf("asked after %v", asked)
		}
		const silent = 5 * time.Minute // is over, and comes again twice
		time.Sleep(silent)
		m.sends()
		time.Sleep(silent)
		asked := m.heard()
		for i, at := range asked {
			if late := at - time.Duration(i+1)*silent; late < 16*time.Second || late > 24*time.Second {
				t.Errorf("asked %v after the last packet", late)
			}
		}
		m.sends()
		stop()
		time.Sleep(time.Hour)
		if len(asked) != 2 || len(m.heard()) != 2 {
			t.Errorf("asked %v, and %v when it was over", asked, m.heard())
		}
	})
}

// Without keep-alives a silence says nothing.
func TestSilenceWithoutKeepAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mute{began: time.Now()}
		stop := commquic.WatchSilence(0, m.received, m.say)
		time.Sleep(time.Hour)
		stop()
		if asked := m.heard(); len(asked) != 0 {
			t.Errorf("asked %v", asked)
		}
	})
}
