package facts_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/facts"
)

func TestFacts(t *testing.T) {
	for _, m := range []map[string]string{
		nil,
		{"": ""},
		{"a": "1"},
		{"a": "", "": "b", "ab": "c", "b": strings.Repeat("long", 100)},
		{strings.Repeat("k", 127): strings.Repeat("v", 128), strings.Repeat("k", 128): strings.Repeat("v", 16384)},
	} {
		f := facts.Of(m)
		if got := f.Map(); !maps.Equal(got, m) || (got == nil) != (m == nil) {
			t.Errorf("%v became %v", m, got)
		}
		for k, v := range m {
			if got, ok := f.Get(k); !ok || got != v {
				t.Errorf("%q: %q, %v", k, got, ok)
			}
		}
		if _, ok := f.Get("absent"); ok {
			t.Error("an absent name was found")
		}
	}
	f := facts.Of(map[string]string{"group": "7", "zone": "eu"})
	if n := testing.AllocsPerRun(100, func() { f.Get("zone") }); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
}
