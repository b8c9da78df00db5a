package queue_test

import (
	"fmt"
	"testing"

	"github.com/anasamu/comm/internal/queue"
)

// Messages that come and leave in batches, on all lanes.
func BenchmarkQueuePushTake(b *testing.B) {
	for _, policy := range []queue.Policy{queue.Disconnect, queue.DropOldest, queue.LatestByKey} {
		for _, n := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("policy=%d/batch=%d", policy, n), func(b *testing.B) {
				var q queue.Queue[*message]
				q.Limit(&queue.Limits{Messages: 1024, Bytes: 1 << 20, Policy: policy})
				v, batch := &message{size: 128}, make([]*message, 0, n)
				b.ReportAllocs()
				for b.Loop() {
					for i := range n {
						q.Push(i%queue.Lanes, v, 0, false)
					}
					batch = q.Take(batch[:0], n, 1<<20)
				}
				if len(batch) != n {
					b.Fatal(len(batch))
				}
			})
		}
	}
}

// A queue that is full, under each policy that does not end the connection.
func BenchmarkQueueFull(b *testing.B) {
	for _, policy := range []queue.Policy{queue.DropOldest, queue.DropNewest, queue.LatestByKey} {
		b.Run(fmt.Sprintf("policy=%d", policy), func(b *testing.B) {
			var q queue.Queue[*message]
			q.Limit(&queue.Limits{Messages: 1024, Bytes: 1 << 20, Policy: policy})
			v := &message{size: 128}
			if policy == queue.LatestByKey {
				v.key = "price"
			}
			for range 2048 {
				q.Push(1, v, 0, false)
			}
			b.ReportAllocs()
			for b.Loop() {
				q.Push(1, v, 0, false)
			}
		})
	}
}
