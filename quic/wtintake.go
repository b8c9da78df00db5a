package commquic

import "sync"

// wtIntake counts what comes on one stream for the flow control of its session. Nil counts nothing.
type wtIntake struct {
	flow    *wtFlow
	head    int64       // bytes of the stream before its body
	violate func(error) // the peer does not keep to its limits; must not wait

	mu      sync.Mutex // guards the fields below
	read    uint64     // bytes of the body that were read
	come    uint64     // that are counted as having come
	whole   uint64     // all there will be, where sized
	sized   bool
	given   bool // nobody reads any more
	settled bool
}

// took counts what a Read has returned.
func (i *wtIntake) took(n int) {
	if i == nil || n <= 0 {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.settled {
		return
	}
	i.read += uint64(n)
	i.reach(i.read)
	i.flow.use(uint64(n))
}

// size learns how long the stream is in all, by its end or a reset. It runs while QUIC handles a packet.
func (i *wtIntake) size(n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.whole, i.sized = uint64(max(0, n-i.head)), true
	i.reach(i.whole)
	i.settle()
}

// giveUp says that nobody reads any more: what was not read counts as if it had been, once it is known how much it is.
func (i *wtIntake) giveUp() {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.given = true
	i.settle()
}

// reach counts that n bytes of the body have come. i.mu is held.
func (i *wtIntake) reach(n uint64) {
	if n <= i.come {
		return
	}
	err := i.flow.come(n - i.come)
	i.come = n
	if err != nil {
		i.violate(err)
	}
}

func (i *wtIntake) settle() {
	if i.given && i.sized && !i.settled {
		i.settled = true
		i.flow.use(i.whole - min(i.whole, i.read))
	}
}
