package commquic_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	commquic "github.com/anasamu/comm/quic"
)

// A deadline may come, move, or go while it is waited for.
func TestDeadline(t *testing.T) {
	t.Parallel()
	const never = 24 * time.Hour
	for name, test := range map[string]struct {
		first time.Duration                   // 0: none
		then  map[time.Duration]time.Duration // when it is set, and to how long from the beginning
		more  time.Duration                   // when there is credit
		life  time.Duration
		ends  time.Duration
		late  bool
	}{
		"none":             {0, nil, time.Second, never, time.Second, false},
		"in time":          {2 * time.Second, nil, time.Second, never, time.Second, false},
		"late":             {time.Second, nil, never, never, time.Second, true},
		"passed before":    {-time.Second, nil, never, never, 0, true},
		"comes":            {0, map[time.Duration]time.Duration{time.Second: 3 * time.Second}, never, never, 3 * time.Second, true},
		"moves on":         {2 * time.Second, map[time.Duration]time.Duration{time.Second: 5 * time.Second}, never, never, 5 * time.Second, true},
		"goes":             {2 * time.Second, map[time.Duration]time.Duration{time.Second: 0}, 9 * time.Second, never, 9 * time.Second, false},
		"is over at once":  {0, map[time.Duration]time.Duration{time.Second: -time.Second}, never, never, time.Second, true},
		"the stream ends":  {0, nil, never, 4 * time.Second, 4 * time.Second, false},
		"moves once again": {time.Second, map[time.Duration]time.Duration{500 * time.Millisecond: 2 * time.Second, time.Second: 3 * time.Second}, never, never, 3 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				d := commquic.NewDeadline()
				set := func(after time.Duration) {
					if after == 0 {
						d.Set(time.Time{})
						return
					}
					d.Set(began.Add(after))
				}
				set(test.first)
				for at, to := range test.then {
					time.AfterFunc(at, func() { set(to) })
				}
				more := make(chan struct{})
				credit := time.AfterFunc(test.more, func() { close(more) })
				defer credit.Stop()
				life, cancel := context.WithTimeout(t.Context(), test.life)
				defer cancel()
				err := d.Wait(more, life)
				if took := time.Since(began); took != test.ends || errors.Is(err, os.ErrDeadlineExceeded) != test.late || !test.late && err != nil {
					t.Errorf("%v after %v, want %v", err, took, test.ends)
				}
			})
		})
	}
}
