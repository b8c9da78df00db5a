//go:build race

package graphql_test

import "time"

// patience is how long a hostile document may take; the race detector makes everything slower.
const patience = 3 * time.Second

// raceEnabled tells that the race detector is on, which makes allocations of its own.
const raceEnabled = true
