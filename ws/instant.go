package ws

import "time"

// instant is a point in time by the monotonic clock, in a third of time.Time's space: a connection holds
// several, and most connections are idle. 0 is none. It may be negative: fake time is before epoch.
type instant int64

// epoch is what instants count from, in nanoseconds.
var epoch = time.Now()

func now() instant { return instant(time.Since(epoch)) }

// instantOf returns t as an instant; the zero Time is none.
func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.Sub(epoch))
}

// time returns i as a Time; none is the zero Time.
func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(i))
}

func (i instant) add(d time.Duration) instant { return i + instant(d) }

func (i instant) since(j instant) time.Duration { return time.Duration(i - j) }
