//go:build !race

package graphql_test

import "time"

// patience is how long a hostile document may take on a machine that others use too.
const patience = 300 * time.Millisecond

// raceEnabled tells that the race detector is on, which makes allocations of its own.
const raceEnabled = false
