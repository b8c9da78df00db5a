package stat

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Other is the label under which a [Vec] counts what it has no room for.
const Other = "other"

// maxLabel is the longest label a Vec keeps, in bytes: with their number bounded, so is their memory.
const maxLabel = 128

// Vec holds one T for each of a bounded number of labels, the first that come; all others share one, "other". So a
// client that invents names cannot make memory or a metrics page grow. T's zero value must be ready for use; values
// are never copied. A Vec is safe for concurrent use; Get of a label that is known takes no lock and does not allocate.
type Vec[T any] struct {
	max    int
	other  T
	spilt  atomic.Bool // other is in use
	labels atomic.Pointer[map[string]*T]

	mu sync.Mutex // held to add a label
}

// NewVec keeps at most maxLabels labels besides "other"; 0 or less keeps none.
func NewVec[T any](maxLabels int) *Vec[T] {
	v := &Vec[T]{max: maxLabels}
	v.labels.Store(&map[string]*T{})
	return v
}

// Get is the value of label, which is the shared one if the Vec is full, or label empty or longer than 128 bytes.
func (v *Vec[T]) Get(label string) *T {
	if t := (*v.labels.Load())[label]; t != nil {
		return t
	}
	if label == "" || label == Other || len(label) > maxLabel || len(*v.labels.Load()) >= v.max {
		return v.spill()
	}
	return v.add(label)
}

func (v *Vec[T]) spill() *T {
	if !v.spilt.Load() {
		v.spilt.Store(true)
	}
	return &v.other
}

// add copies the map, so that readers need no lock: it happens at most once a label.
func (v *Vec[T]) add(label string) *T {
	v.mu.Lock()
	defer v.mu.Unlock()
	labels := *v.labels.Load()
	if t := labels[label]; t != nil {
		return t
	}
	if len(labels) >= v.max {
		return v.spill()
	}
	t := new(T)
	next := maps.Clone(labels)
	next[strings.Clone(label)] = t // label may be a piece of a large message
	v.labels.Store(&next)
	return t
}

// All yields the labels in order and "other" last, if anything was counted there.
func (v *Vec[T]) All() iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		labels := *v.labels.Load()
		for _, label := range slices.Sorted(maps.Keys(labels)) {
			if !yield(label, labels[label]) {
				return
			}
		}
		if v.spilt.Load() {
			yield(Other, &v.other)
		}
	}
}
