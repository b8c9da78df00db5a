package deflate

import "sync/atomic"

// Budget bounds the memory of compressors that connections keep for
// themselves. Safe for concurrent use.
type Budget struct{ free atomic.Int64 }

// NewBudget returns a budget of n bytes.
func NewBudget(n int64) *Budget {
	b := new(Budget)
	b.free.Store(n)
	return b
}

// Take reserves n bytes, or reports false and reserves nothing.
func (b *Budget) Take(n int64) bool {
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.free.Add(n)
	return false
}

// Give returns n bytes taken before.
func (b *Budget) Give(n int64) { b.free.Add(n) }

// Free returns the bytes not reserved.
func (b *Budget) Free() int64 { return b.free.Load() }

// Cost is what one compressor of a level weighs, measured on compress/flate.
func Cost(level int) int64 {
	if level == 1 {
		return 1200 << 10
	}
	return 814 << 10
}
