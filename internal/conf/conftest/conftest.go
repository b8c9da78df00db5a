// Package conftest is for the tests of configuration keys.
package conftest

import (
	"testing"

	"github.com/anasamu/comm/internal/conf"
)

// EachKey calls check with the row of every key of a configuration, a pointer to a struct, in a parallel
// subtest of the key's name. A key without a row fails, and so does a row of no key.
func EachKey[R any](t *testing.T, config any, rows map[string]R, check func(t *testing.T, key string, row R)) {
	t.Helper()
	keys, err := conf.Keys(config)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, key := range keys {
		known[key] = true
		row, ok := rows[key]
		if !ok {
			t.Errorf("key %q has no row", key)
			continue
		}
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			check(t, key, row)
		})
	}
	for key := range rows {
		if !known[key] {
			t.Errorf("row %q is of no key", key)
		}
	}
}
