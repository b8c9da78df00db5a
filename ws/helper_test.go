package ws_test

import (
	"bytes"
	"log/slog"
	"sync"
	"time"
)

// syncBuffer collects a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

// soonTime is a deadline that passes: far enough for a busy machine to write something before.
func soonTime() time.Time { return time.Now().Add(time.Second) }

// farTime is a deadline that does not pass.
func farTime() time.Time { return time.Now().Add(time.Minute) }
