package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"slices"
)

// A subject is an implementation under test. A new rival is one file that
// registers one; what it can do is said by the interfaces below.
type subject interface {
	Name() string
	Module() string // whose version is printed
	Config() string // how it is configured, and why that is its fastest
}

// An echoer sends every WebSocket message back. It serves s.TLS and s.Deflate
// as asked, or refuses with errUnsupported.
type echoer interface {
	Echo(s *spec) (entry, error)
}

// A hubber sends what the server publishes to every WebSocket of a group.
type hubber interface {
	Hub(s *spec) (hub, error)
}

// A streamer does the same for event streams.
type streamer interface {
	Streams(s *spec) (hub, error)
}

// A jobber takes JSON messages from authenticated clients through middleware
// and a handler to a group of WebSocket clients and, where it can, event streams.
type jobber interface {
	Job(s *spec) (hub, error)
}

// hub is a running server with groups.
type hub interface {
	Entry() entry
	// Members is how many clients are in groups by now.
	Members() int
	// Publish sends a JSON object to all of a group. It may keep payload.
	Publish(group int, payload []byte) error
}

var errUnsupported = fmt.Errorf("not supported")

var subjects []subject

// register keeps comm first and its rivals in the order of their names.
func register(s subject) {
	subjects = append(subjects, s)
	slices.SortFunc(subjects, func(a, b subject) int {
		if ours(a) != ours(b) {
			return cmp.Compare(b2i(ours(b)), b2i(ours(a)))
		}
		return cmp.Compare(a.Name(), b.Name())
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func subjectNamed(name string) (subject, error) {
	i := slices.IndexFunc(subjects, func(s subject) bool { return s.Name() == name })
	if i < 0 {
		return nil, fmt.Errorf("no implementation %q", name)
	}
	return subjects[i], nil
}

// version is the version of a module in this build.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "?"
	}
	for _, d := range info.Deps {
		if d.Path != module {
			continue
		}
		if d.Replace != nil {
			return "this tree"
		}
		return d.Version
	}
	return "?"
}
