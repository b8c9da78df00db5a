//go:build !race

package graphql_test

import "time"

// hostileCost is how much of the processor's time a hostile document may take.
const hostileCost = 300 * time.Millisecond

// raceEnabled tells that the race detector is on, which makes allocations of its own.
const raceEnabled = false
