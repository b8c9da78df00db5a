package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// screen is what a client prints.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) shows(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		got := s.b.String()
		s.mu.Unlock()
		if strings.Contains(got, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the screen shows %q, not %q", got, text)
		}
	}
}

// Two clients talk, and one sends the other a file.
func TestChat(t *testing.T) {
	m, err := newServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addrs, err := m.Addrs("quic")
	if err != nil {
		t.Fatal(err)
	}
	_, hash := m.DevelopmentCertificate()
	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var screens [2]screen
	var keyboards [2]*io.PipeWriter
	var clients sync.WaitGroup
	for i, name := range []string{"ann", "bob"} {
		r, w := io.Pipe()
		keyboards[i] = w
		clients.Go(func() {
			if err := chat(context.Background(), addrs[len(addrs)-1], hex.EncodeToString(hash), name, r, &screens[i]); err != nil {
				t.Error(err)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); m.ConnectionCount(comm.ToGroup(room)) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("they do not join")
		}
	}
	for _, line := range []string{"hello", "/file " + file, "did it come?"} {
		_, _ = io.WriteString(keyboards[0], line+"\n")
	}
	for i := range screens {
		screens[i].shows(t, "ann: hello")
		screens[i].shows(t, "notes.txt has come, 3145728 bytes")
		screens[i].shows(t, "ann: did it come?")
		_ = keyboards[i].Close()
	}
	clients.Wait()
}

func TestPin(t *testing.T) {
	if _, err := pinned("abc"); err == nil {
		t.Error("a hash of three digits is taken")
	}
}
