//go:build !unix

package graphql_test

import "time"

// spent is the time that has passed: that of the processor is not known here.
func spent() time.Duration { return time.Since(started) }

var started = time.Now()
