package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The sub-command micro: comm's micro-benchmarks beside those of its rivals in
// ./internal/micro, or beside those of another commit, by benchstat.
//
//	go run . micro                                all that rivals have too
//	go run . micro -bench Mask -count 10
//	go run . micro -base HEAD~5 -bench .          this tree against a commit

const microCommand = "micro"

const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// microRivals are the benchmarks that ./internal/micro has too.
const microRivals = "^Benchmark(HeaderParse|HeaderAppend|Mask|UTF8|Deflate|Inflate|SSEEncode|FrameAppend|FrameParse|MessageEncode|MessageDecode)$"

// microPackages are where the hot paths are; without -run none of their tests runs.
var microPackages = []string{".", "./internal/...", "./ws", "./sse", "./http"}

// microTimeout bounds one call of go test.
const microTimeout = 10 * time.Minute

type microRun struct {
	base, bench string
	count       int
	each        time.Duration
}

func runMicro(out io.Writer, args []string) error {
	m := microRun{}
	f := flag.NewFlagSet(microCommand, flag.ContinueOnError)
	f.StringVar(&m.base, "base", "", "commit to compare with; default: the rivals in ./internal/micro")
	f.StringVar(&m.bench, "bench", "", "which benchmarks, a regular expression (default all that both sides have)")
	f.IntVar(&m.count, "count", 6, "runs of each side; they alternate. benchstat wants at least 6")
	f.DurationVar(&m.each, "time", 200*time.Millisecond, "how long one run of one benchmark takes")
	if err := f.Parse(args); err != nil {
		return err
	}
	if m.count < 1 || m.each <= 0 {
		return fmt.Errorf("-count %d, -time %v: more than zero is allowed", m.count, m.each)
	}
	dir, err := os.MkdirTemp("", "comm-micro")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if m.base != "" {
		return m.againstCommit(out, dir)
	}
	return m.againstRivals(out, dir)
}

// againstRivals puts both sides into one file: the end of each name tells them apart.
func (m microRun) againstRivals(out io.Writer, dir string) error {
	if m.bench == "" {
		m.bench = microRivals
	}
	results := filepath.Join(dir, "results")
	for range m.count {
		if err := errors.Join(m.test("..", results, microPackages...), m.test(".", results, "./internal/micro")); err != nil {
			return err
		}
	}
	return stat(out, "-ignore", "pkg", "-col", "/impl@(comm std gobwas gws coder gorilla go-sse)", results)
}

// againstCommit runs the commit's own benchmarks in a copy of its tree.
func (m microRun) againstCommit(out io.Writer, dir string) error {
	if m.bench == "" {
		m.bench = "."
	}
	tree := filepath.Join(dir, "tree")
	if err := checkOut(m.base, tree); err != nil {
		return err
	}
	before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
	for range m.count {
		if err := errors.Join(m.test(tree, before, microPackages...), m.test("..", after, microPackages...)); err != nil {
			return err
		}
	}
	return stat(out, m.base+"="+before, "this tree="+after)
}

// test runs the benchmarks of packages in a module and appends what they say to a file.
func (m microRun) test(module, results string, packages ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), microTimeout)
	defer cancel()
	args := append([]string{"test", "-run", "^$", "-bench", m.bench, "-benchtime", m.each.String(), "-timeout", microTimeout.String()}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = module
	doc, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go test in %s: %w: %s", module, err, lastLines(string(doc), 600))
	}
	fmt.Fprintf(os.Stderr, "%s: %d results\n", module, strings.Count(string(doc), " ns/op"))
	f, err := os.OpenFile(results, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(doc)
	return errors.Join(err, f.Close())
}

// stat prints benchstat's tables, without the module of this folder: it is no requirement of anything here.
func stat(out io.Writer, args ...string) error {
	cmd := exec.Command("go", append([]string{"run", benchstat}, args...)...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return cmd.Run()
}

// checkOut writes the tree of a commit to a new folder.
func checkOut(commit, dir string) error {
	cmd := exec.Command("git", "archive", "--format=tar", commit)
	cmd.Dir = ".." // the whole tree, not this folder's
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	doc, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("git archive %s: %w: %s", commit, err, lastLines(complaint.String(), 300))
	}
	root, err := mkRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(bytes.NewReader(doc)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = writeEntry(root, h, r)
		}
		if err != nil {
			return err
		}
	}
}

// mkRoot makes a folder that nothing leads out of.
func mkRoot(dir string) (*os.Root, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

func writeEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(filepath.Clean(h.Name), 0o700)
	case tar.TypeReg:
		f, err := root.Create(h.Name)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	}
	return nil // links have no part in a build
}
