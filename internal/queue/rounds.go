package queue

import "math"

// Lanes is the number of priorities: 0 is high, 1 normal, 2 low.
const Lanes = 3

const normalLane = 1

// shares is how many messages of each lane go into one round, so that a full high lane
// never starves the low one.
var shares = [Lanes]int8{8, 4, 1}

// Rounds says which lane's turn it is: 8 high, 4 normal and 1 low. A lane that waits alone goes on
// as long as it does. The zero value begins with high.
type Rounds struct {
	lane int8
	left int8 // messages of that lane left in this round
	on   bool
}

// Next returns the lane whose turn it is among those with messages, and how many it may send. n is 0
// when nothing waits; what comes next then begins a new round.
func (r *Rounds) Next(waiting [Lanes]bool) (lane, n int) {
	lanes := 0
	for i, w := range waiting {
		if w {
			lane = i
			lanes++
		}
	}
	switch {
	case lanes == 0:
		*r = Rounds{}
		return 0, 0
	case !r.on:
		*r = Rounds{left: shares[0], on: true}
	}
	for r.left == 0 || !waiting[r.lane] {
		r.lane = (r.lane + 1) % Lanes
		r.left = shares[r.lane]
	}
	if lanes == 1 {
		return lane, math.MaxInt
	}
	return int(r.lane), int(r.left)
}

// Spend counts n messages of the lane that Next returned.
func (r *Rounds) Spend(n int) { r.left = int8(max(int(r.left)-n, 0)) }
