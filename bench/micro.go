package main

var (
	enqueueColumn = column{"ns", "ns/enqueue", "%.1f", true}
	joinColumn    = column{"ns", "ns/Join+Leave", "%.1f", true}
	allocOpColumn = column{"allocs", "allocs", "%.3f", true}
)

var microRows = []row{
	{
		name: "enqueue", title: "enqueue per connection at 10,000 through Manager.Send, all bounds on, the writers already at work", wants: wantsProbe,
		target: target{absolute: 25}, columns: []column{enqueueColumn, allocOpColumn}, spec: spec{Scenario: "enqueue", Conns: 10000, Messages: 16, Rounds: 20, Size: 128},
	},
	{
		name: "joinleave", title: "Conn.Leave and Conn.Join of a random member of a group of 100,000", wants: wantsProbe,
		target: target{absolute: 150}, columns: []column{joinColumn, allocOpColumn}, spec: spec{Scenario: "joinleave", Conns: 100000, Messages: 200000, Rounds: 1},
	},
}

// A prober measures something in process, by its public API alone.
type prober interface {
	Probe(s *spec) (metrics, error)
}

func driveProbe(s *spec) (metrics, error) {
	sub, err := subjectNamed(s.Subject)
	if err != nil {
		return nil, err
	}
	return sub.(prober).Probe(s)
}
