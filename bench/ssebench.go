package main

var streamRows = []row{{
	name: "sse", title: "Server-Sent Events, 1,000 events to 1,000 clients", wants: wantsStreams,
	target: target{ratio: 8, among: []string{"r3labs", "go-sse"}}, columns: hubColumns,
	spec: spec{Scenario: "broadcast", Conns: 1000, Groups: 1, Messages: 1000, Rounds: 1, Size: 96},
}}
