// Command treecheck looks at the files under version control for what no compiler sees: words that
// belong to somebody's machine, left-over markers, links that lead nowhere, packages without a comment
// or a runnable Example, lock files that name the host they were made with, files nobody meant to add.
// It prints each finding with its place, and fails if there is one:
//
//	go run .ci/treecheck/*.go
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
)

// maxFile is more than any source here needs.
const maxFile = 1 << 20

// rule is a pattern that no line may match, in files whose name matches in.
type rule struct {
	in      *regexp.Regexp
	pattern *regexp.Regexp
	why     string
}

var (
	anyFile = regexp.MustCompile(``)
	source  = regexp.MustCompile(`(^|/)([^/.]+\.go|[^/]+\.(md|m?js|ts|css|html|sh|yml|proto))$|^\.ci/run$`) // not *.pb.go, which is made
	lock    = regexp.MustCompile(`(^|/)package-lock\.json$`)
)

// The patterns are written so that none matches itself.
var rules = []rule{
	{anyFile, regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])/(work|root|home/[a-z]+)/|/tmp/[b]ash`), "a path of somebody's machine"},
	{anyFile, regexp.MustCompile(`\bregistry\.[n]pm|\bregistry\.[y]arn|\bproxy\.[g]olang\.org|\bsum\.[g]olang\.org|\bdeb\.[d]ebian\.org`), "the host of a package registry"},
	{anyFile, regexp.MustCompile(`shared/(notes|tools|[D]ESIGN)`), "a path outside the repository"},
	{lock, regexp.MustCompile(`"[r]esolved":`), "where a package came from: npm install --omit-lockfile-registry-resolved"},
	{source, regexp.MustCompile(`(?i)\b(to[d]o|fi[x]me|x[x]x|ha[c]k|stu[b]|not im[p]lemented)\b`), "a left-over marker"},
	{source, regexp.MustCompile(`^(<<<<<<<|>>>>>>>)( |$)`), "a left-over conflict"},
}

// tree is what version control holds.
type tree struct {
	names    []string
	data     map[string][]byte
	folders  map[string]bool
	findings []string
}

func main() {
	t, err := load()
	if err != nil {
		fmt.Fprintln(os.Stderr, "treecheck:", err)
		os.Exit(1)
	}
	t.checkLines()
	t.checkSizes()
	links := t.checkLinks()
	packages := t.checkPackages()
	slices.Sort(t.findings)
	for _, f := range t.findings {
		fmt.Println(f)
	}
	fmt.Printf("treecheck: %d files, %d links, %d packages, %d findings\n", len(t.names), links, packages, len(t.findings))
	if len(t.findings) > 0 {
		os.Exit(1)
	}
}

func load() (*tree, error) {
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	t := &tree{data: map[string][]byte{}, folders: map[string]bool{".": true}}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed, but not committed yet
		}
		if err != nil {
			return nil, err
		}
		t.names = append(t.names, name)
		t.data[name] = data
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			t.folders[dir] = true
		}
	}
	slices.Sort(t.names)
	return t, nil
}

func (t *tree) found(name string, line int, format string, args ...any) {
	t.findings = append(t.findings, fmt.Sprintf("%s:%d: %s", name, line, fmt.Sprintf(format, args...)))
}

func (t *tree) checkLines() {
	for _, name := range t.names {
		for _, r := range rules {
			if r.in.MatchString(name) {
				t.checkRule(name, r)
			}
		}
	}
}

func (t *tree) checkRule(name string, r rule) {
	n := 0
	for line := range bytes.Lines(t.data[name]) {
		n++
		if m := r.pattern.Find(line); m != nil {
			t.found(name, n, "%q is %s", bytes.TrimSpace(m), r.why)
		}
	}
}

func (t *tree) checkSizes() {
	for _, name := range t.names {
		data := t.data[name]
		if len(data) > maxFile {
			t.found(name, 1, "%d bytes, at most %d are expected", len(data), maxFile)
		}
		for _, magic := range []string{"\x7fELF", "MZ\x90", "\xcf\xfa\xed\xfe", "!<arch>"} {
			if bytes.HasPrefix(data, []byte(magic)) {
				t.found(name, 1, "a compiled program")
			}
		}
	}
}
