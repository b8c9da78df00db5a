package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// The program runs itself in these roles.
const (
	roleVariable = "COMM_BENCH_ROLE"
	specVariable = "COMM_BENCH_SPEC"
	roleServer   = "server"
	roleClient   = "client"
)

// runTimeout bounds one run: a subject that loses a message would wait for ever.
const runTimeout = 150 * time.Second

// playRole is main of a server or client process.
func playRole(role string) int {
	var s spec
	err := json.Unmarshal([]byte(os.Getenv(specVariable)), &s)
	if err == nil {
		runtime.GOMAXPROCS(s.Procs)
		raiseFiles()
		switch role {
		case roleServer:
			limitMemory(&s)
			err = serve(&s)
		case roleClient:
			debug.SetGCPercent(800) // the client is no part of what is measured
			err = report(drive(&s))
			if err == nil && s.Scenario == holdScenario {
				err = stay()
			}
		default:
			err = errors.New("no such role: " + role)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

// raiseFiles allows as many open files as the system does.
func raiseFiles() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) // connecting will tell
	}
}

func report(m metrics, err error) error {
	o := outcome{Metrics: m}
	if err != nil {
		o.Error = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

// process is a running copy of this program.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser // its end ends a server
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func start(ctx context.Context, role string, s *spec) (*process, error) {
	doc, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, "/proc/self/exe")}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role, specVariable+"="+string(doc))
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdout = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// answer reads the one JSON line that a process prints.
func (p *process) answer(v any) error {
	line, err := p.stdout.ReadBytes('\n')
	if err == nil {
		return json.Unmarshal(line, v)
	}
	_ = p.end() // so that all of stderr is there
	return fmt.Errorf("%w: %s", err, lastLines(p.stderr.String(), 600))
}

func lastLines(s string, n int) string {
	if len(s) > n {
		s = "..." + s[len(s)-n:]
	}
	return strings.Join(strings.Fields(s), " ")
}

// end ends a process and waits until it is gone.
func (p *process) end() error {
	_ = p.stdin.Close() // a server ends by itself now
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	return p.cmd.Wait()
}

// runOnce measures one subject once, in two processes of their own.
func runOnce(s spec) (metrics, error) {
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	server, err := start(ctx, roleServer, &s)
	if err != nil {
		return nil, err
	}
	if err := server.answer(&s); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	client, err := start(ctx, roleClient, &s)
	if err != nil {
		return nil, errors.Join(err, server.end())
	}
	var o outcome
	err = client.answer(&o)
	if err == nil {
		err = client.end()
	}
	serverErr := server.end()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("not done within %v: %s", runTimeout, lastLines(server.stderr.String(), 600))
	case o.Error != "":
		return nil, errors.New(o.Error + said(server))
	case err != nil:
		return nil, fmt.Errorf("client: %w", err)
	case serverErr != nil:
		return nil, fmt.Errorf("server: %w%s", serverErr, said(server))
	}
	return o.Metrics, nil
}

// said is what a server complained about, for the report of a failed run.
func said(p *process) string {
	if p.stderr.Len() == 0 {
		return ""
	}
	return " (server said: " + lastLines(p.stderr.String(), 300) + ")"
}
