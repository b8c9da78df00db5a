package main

import (
	"fmt"
	"strings"
)

// The example of docs/memory.md: 100,000 WebSockets over TLS on a machine of
// 8 GB, of which some are slow.
const (
	exampleConns   = 100_000
	exampleMachine = 8e9
	exampleSystem  = 700e6 // the system and all else on the machine
	exampleHistory = 256 << 20
	exampleSlow    = 1000 // clients whose queues are full at once
	exampleQueue   = 256 << 10
	exampleWaiting = 20_000 // sessions that wait to be resumed
)

// historyFactor is what a counted byte of history costs, from the message of
// 1 KiB: content counts, what stands around it does not all.
func historyFactor(costs []float64) float64 { return costs[partHistory] / 1024 }

// Places in hubParts.
const (
	partSession = 2
	partHistory = 6
)

func printExample(b *strings.Builder, m metrics, costs []float64) {
	live := exampleConns * (m["live"] + m["stacks"])
	sessions := exampleWaiting * costs[partSession]
	history := exampleHistory * historyFactor(costs)
	queues := float64(exampleSlow * exampleQueue)
	kernel := exampleConns * m["kernel"]
	limit := exampleMachine - exampleSystem - kernel - queues
	fmt.Fprint(b, "\n| 100,000 WebSockets over TLS on 8 GB | |\n|---|---:|\n")
	for _, line := range []struct {
		name string
		v    float64
	}{
		{"live heap and stacks of the connections", live},
		{fmt.Sprintf("%s sessions that wait to be resumed", grouped(exampleWaiting)), sessions},
		{"history: `MemoryStore.TotalBytes` of 256 MiB, as the bytes that it costs", history},
		{fmt.Sprintf("%s slow clients whose `queue_bytes` of 256 KiB are full", grouped(exampleSlow)), queues},
		{"**live in all**", live + sessions + history + queues},
		{"kernel: sockets of the connections", kernel},
		{"kernel: full send buffers of the slow clients, at 256 KiB", queues},
		{"the system and all else", exampleSystem},
		{"**what is left for the process: `GOMEMLIMIT`**", limit},
	} {
		fmt.Fprintf(b, "| %s | %s |\n", line.name, size(line.v))
	}
}
