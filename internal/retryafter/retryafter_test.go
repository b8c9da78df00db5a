package retryafter_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/leak"
	"github.com/anasamu/comm/internal/retryafter"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for value, want := range map[string]time.Duration{
			"":                                 0,
			"0":                                0,
			"7":                                7 * time.Second,
			"2147483647":                       2147483647 * time.Second,
			"2147483648":                       2147483647 * time.Second, // delay-seconds have no largest value
			"99999999999999999999":             2147483647 * time.Second,
			"-1":                               0,
			"1.5":                              0,
			"soon":                             0,
			in(90 * time.Second):               90 * time.Second,
			in(-time.Hour):                     0,
			"Saturday, 01-Jan-00 00:01:00 GMT": time.Minute, // RFC 850, which recipients must read too
		} {
			if got := retryafter.Of(http.Header{"Retry-After": {value}}); got != want {
				t.Errorf("%q: %v, want %v", value, got, want)
			}
		}
		if got := retryafter.Of(nil); got != 0 {
			t.Errorf("no header: %v", got)
		}
	})
}
