package commquic_test

import (
	"testing"
	"testing/synctest"
	"time"

	commquic "github.com/anasamu/comm/quic"
)

// A server that sends a packet now and then is asked nothing. One that is silent is asked once, soon after it should
// have acknowledged a keep-alive, and once more when it was heard meanwhile.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sleep := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait() // for who looks at the same moment
		}
		var packets uint64
		var asked []time.Duration
		began := time.Now()
		stop := commquic.WatchSilence(15*time.Second, func() uint64 { return packets }, func() { asked = append(asked, time.Since(began)) })
		defer stop()
		for range 20 { // as often as they come at least
			sleep(15 * time.Second)
			packets++
		}
		if len(asked) != 0 {
			t.Errorf("asked after %v", asked)
		}
		began = time.Now()
		sleep(5 * time.Minute)
		packets++
		sleep(5 * time.Minute)
		if len(asked) != 2 || asked[0] < 16*time.Second || asked[0] > 24*time.Second || asked[1] < 316*time.Second || asked[1] > 324*time.Second {
			t.Errorf("asked after %v", asked)
		}
		packets++
		stop()
		sleep(time.Hour)
		if len(asked) != 2 {
			t.Errorf("asked when it was over: %v", asked)
		}
	})
}

// Without keep-alives a silence says nothing.
func TestSilenceWithoutKeepAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []int
		stop := commquic.WatchSilence(0, func() uint64 { return 0 }, func() { asked = append(asked, 1) })
		time.Sleep(time.Hour)
		stop()
		if len(asked) != 0 {
			t.Errorf("asked %d times", len(asked))
		}
	})
}
