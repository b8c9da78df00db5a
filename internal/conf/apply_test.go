package conf_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/conf"
)

// All bad options are reported together, nil ones by their place, and the good ones apply.
func TestApply(t *testing.T) {
	t.Parallel()
	bad, sum := errors.New("bad"), 0
	err := conf.Apply("pkg.New", []any{1, nil, "x", 2}, func(o any) error {
		n, ok := o.(int)
		if !ok {
			return bad
		}
		sum += n
		return nil
	})
	if sum != 3 || !errors.Is(err, bad) || !strings.Contains(err.Error(), "pkg.New: an option is nil, number 2") {
		t.Errorf("sum %d, %v", sum, err)
	}
	if err := conf.Apply("pkg.New", []any{1}, func(any) error { return nil }); err != nil {
		t.Error(err)
	}
}
