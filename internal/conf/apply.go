package conf

import (
	"errors"
	"fmt"
)

// Apply applies every option that a call was given, and reports all bad ones together. A nil one is an error that
// names the call and its place.
func Apply[O any](call string, opts []O, apply func(O) error) error {
	var errs []error
	for i, o := range opts {
		if any(o) == nil {
			errs = append(errs, fmt.Errorf("%s: an option is nil, number %d", call, i+1))
			continue
		}
		errs = append(errs, apply(o))
	}
	return errors.Join(errs...)
}
