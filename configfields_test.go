package comm_test

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// What godoc shows of Config are keys that a file can hold, and nothing else.
func TestConfigShowsKeysOnly(t *testing.T) {
	t.Parallel()
	typ := reflect.TypeFor[comm.Config]()
	for i := range typ.NumField() {
		if f := typ.Field(i); f.IsExported() {
			if key := f.Tag.Get("json"); key == "" || key == "-" {
				t.Errorf("%s is no key", f.Name)
			}
		}
	}
}

// For each key there is an option: all together leave none at its default.
func TestEveryKeyHasAnOption(t *testing.T) {
	t.Parallel()
	defaults := reflect.ValueOf(newManager(t).Config())
	changed := reflect.ValueOf(newManager(t,
		comm.WithProvider(&fake{name: "a"}, &fake{name: "b"}), comm.WithDefaultProvider("b"), comm.WithAddr(":7"),
		comm.WithMaxConnections(7), comm.WithRetry(7, 7*time.Second), comm.WithTimeout(7*time.Second),
		comm.WithAllowedOrigins("https://a.example"), comm.WithTrustedProxies(netip.MustParsePrefix("192.0.2.0/24")),
		comm.WithMaxConnectionsPerUser(7), comm.WithMaxConnectionsPerAddr(7), comm.WithHandshakeRate(7, 7),
		comm.WithMaxHandshakesPerAddr(7), comm.WithFailedAuthBurst(7), comm.WithMaxMessage(77), comm.WithMessageRate(7, 7),
		comm.WithMaxGroups(7), comm.WithQueue(7, 7), comm.WithHandlerConcurrency(7), comm.WithHandlerTimeout(7*time.Second),
		comm.WithHandshakeTimeout(7*time.Second), comm.WithWriteTimeout(7*time.Second), comm.WithHeartbeat(7*time.Second),
		comm.WithResumeWindow(7*time.Second), comm.WithPresenceGrace(7*time.Second), comm.WithExpiryGrace(7*time.Second),
		comm.WithDrainDelay(7*time.Second), comm.WithDrainTimeout(7*time.Second), comm.WithDrainSpread(7*time.Second),
		comm.WithHealthInterval(7*time.Second),
	).Config())
	for i := range defaults.NumField() {
		f := defaults.Type().Field(i)
		if f.IsExported() && reflect.DeepEqual(defaults.Field(i).Interface(), changed.Field(i).Interface()) {
			t.Errorf("no option sets %s (%v)", f.Name, changed.Field(i))
		}
	}
}
