package commhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

// filled is a value of a field's type that is not zero.
func filled(t *testing.T, typ reflect.Type) reflect.Value {
	t.Helper()
	v := reflect.New(typ).Elem()
	switch {
	case typ == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(7, 0)))
	case typ == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(7 * time.Millisecond))
	case typ.Kind() == reflect.Int || typ.Kind() == reflect.Int64:
		v.SetInt(7)
	case typ.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(typ))
		v.SetMapIndex(reflect.ValueOf("key"), filled(t, typ.Elem()))
	case typ.Kind() == reflect.Struct:
		for i := range typ.NumField() {
			v.Field(i).Set(filled(t, typ.Field(i).Type))
		}
	default:
		t.Fatalf("no value of %v is known", typ)
	}
	return v
}

// members are the leaves of what a value is in JSON, by their names alone, as JSON.
func members(t *testing.T, v any) map[string]string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	var walk func(name string, v any)
	walk = func(name string, v any) {
		if object, ok := v.(map[string]any); ok {
			all[name] += fmt.Sprint("members ", len(object))
			for member, v := range object {
				walk(member, v)
			}
			return
		}
		b, _ := json.Marshal(v)
		all[name] += string(b)
	}
	var any any
	if err := json.Unmarshal(b, &any); err != nil {
		t.Fatal(err)
	}
	walk("", any)
	return all
}

// told fails for each field of S, one at a time, that leaves what api makes of an S as it is, or changes only what the
// page does not show. within, where S is the value of a map in V, puts it there.
func told[S, V any](t *testing.T, page string, api func(V) any, within func(S) V, not ...string) {
	t.Helper()
	var zero S
	before := members(t, api(within(zero)))
	for typ, i := reflect.TypeFor[S](), 0; i < typ.NumField(); i++ {
		f := typ.Field(i)
		if slices.Contains(not, f.Name) {
			continue
		}
		s := zero
		reflect.ValueOf(&s).Elem().Field(i).Set(filled(t, f.Type))
		changed := members(t, api(within(s)))
		maps.DeleteFunc(changed, func(name, v string) bool { return before[name] == v || name == "key" })
		if len(changed) == 0 {
			t.Errorf("%v.%s is nowhere in the API", typ, f.Name)
		}
		for name := range changed {
			if !strings.Contains(page, "."+name) {
				t.Errorf("%v.%s, in the API %s, is nowhere on the page", typ, f.Name, name)
			}
		}
	}
}

// Whatever is counted is told by the API, and shown by the page.
func TestAdminShowsAllThatIsCounted(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("adminpage/app.js")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	told(t, page, commhttp.AdminTotals, func(s comm.Stats) comm.Stats { return s }, "Types", "Calls")
	told(t, page, commhttp.AdminTypes, func(s comm.TypeStats) comm.Stats {
		return comm.Stats{Types: map[string]comm.TypeStats{"key": s}}
	})
	told(t, page, commhttp.AdminCalls, func(s comm.CallStats) comm.Stats {
		return comm.Stats{Calls: map[string]comm.CallStats{"key": s}}
	})
	told(t, page, commhttp.AdminConn, func(s comm.ConnStats) comm.ConnStats { return s })
}

// The counts of the authorizer and the reasons of ends come to the API of a gateway, for all and by provider.
func TestAdminStatsOfGateway(t *testing.T) {
	t.Parallel()
	m, client := gateway(t, []comm.Option{comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
		if a.Group == "undecided" {
			return os.ErrDeadlineExceeded
		}
		return comm.ErrForbidden
	})}, commhttp.WithAdmin("/"))
	p := openPoll(t, client)
	p.up(`[{"op":"join","id":"1","group":"vault"},{"op":"join","id":"2","group":"vault"},{"op":"join","id":"3","group":"undecided"}]`)
	for answers := 0; answers < 3; {
		answers += len(p.next())
	}
	last := make(chan answer, 1)
	go func() { last <- p.poll("30000") }()
	if err := m.CloseConnection(t.Context(), p.conn, "enough"); err != nil {
		t.Fatal(err)
	}
	<-last
	stats := decodeBody[struct {
		Totals    map[string]any
		Providers map[string]map[string]any
	}](t, ask(t, client, "GET", "http://gw/api/stats", nil))
	for _, of := range []map[string]any{stats.Totals, stats.Providers["http"]} {
		equal(t, "counts", words(of["access_denied"], of["access_failed"], of["closed"]), "2 1 map[kicked:1]")
		for _, name := range []string{"response_avg_ms", "response_p50_ms", "response_p95_ms", "response_p99_ms", "response_max_ms"} {
			if of[name] == nil {
				t.Errorf("no member %q in %v", name, of)
			}
		}
	}
	if calls, ok := stats.Providers["http"]["calls"].(map[string]any); !ok || len(calls) != 0 {
		t.Errorf("calls %v", stats.Providers["http"]["calls"])
	}
}
