package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// The example of docs/memory.md: 100,000 WebSockets over TLS on a machine of
// 8 GB, of which some are slow.
const (
	exampleConns   = 100_000
	exampleMachine = 8e9
	exampleSystem  = 700e6     // the system and all else on the machine
	exampleHistory = 256 << 20 // MemoryStore.TotalBytes
	exampleSlow    = 1000      // clients whose queues are full at once
	exampleQueue   = 256 << 10 // queue_bytes, and tcp_wmem
	exampleWaiting = 20_000    // sessions that wait to be resumed
)

// Places in hubParts.
const (
	partSession = 2
	partHistory = 6 // as it is most of the time: after a check
	partQueue   = 10
)

// counted is what a history or a queue counts for a message of 128 B, which
// costs more: with small messages they hold several times their bounds.
func counted() float64 {
	msg, err := comm.NewMessage("event", json.RawMessage(message(0, time.Now(), 128)))
	if err != nil {
		return 0 // it is valid: hubParts has sent it
	}
	return float64(msg.Size())
}

func printExample(b *strings.Builder, m metrics, costs []float64) {
	live := exampleConns * (m["live"] + m["stacks"])
	sessions := exampleWaiting * costs[partSession]
	history := exampleHistory * costs[partHistory] / counted()
	queues := exampleSlow * exampleQueue * costs[partQueue] / counted()
	buffers := float64(exampleSlow * exampleQueue)
	kernel := exampleConns * m["kernel"]
	limit := exampleMachine - exampleSystem - kernel - buffers
	fmt.Fprint(b, "\n| 100,000 WebSockets over TLS in the hub, on 8 GB | |\n|---|---:|\n")
	for _, line := range []struct {
		name string
		v    float64
	}{
		{"live heap and stacks of the connections", live},
		{grouped(exampleWaiting) + " sessions that wait to be resumed", sessions},
		{"histories that have reached `MemoryStore.TotalBytes` of 256 MiB, in messages of 128 B", history},
		{grouped(exampleSlow) + " slow clients whose `queue_bytes` of 256 KiB are full, of the same", queues},
		{"**live in all**", live + sessions + history + queues},
		{"kernel: the sockets", kernel},
		{"kernel: the slow clients' send buffers, at most 256 KiB each by `net.ipv4.tcp_wmem`", buffers},
		{"the system and all else", exampleSystem},
		{"**what is left for the process: `GOMEMLIMIT`**", limit},
	} {
		fmt.Fprintf(b, "| %s | %s |\n", line.name, size(line.v))
	}
	fmt.Fprintf(b, "\nWhat is left is %.1f x what is live.\n", limit/(live+sessions+history+queues))
}
