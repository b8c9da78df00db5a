package main

import (
	"bytes"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	linkTarget = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s+<?(\S+?)>?(\s|$)`)
	heading    = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	codeSpan   = regexp.MustCompile("`[^`]*`")
)

// checkLinks reports relative links of the Markdown pages that lead nowhere, and answers how many it saw.
func (t *tree) checkLinks() (seen int) {
	for _, name := range t.names {
		if path.Ext(name) != ".md" {
			continue
		}
		for n, line := range prose(t.data[name]) {
			for _, target := range targets(line) {
				seen++
				if why := t.broken(name, target); why != "" {
					t.found(name, n, "link %s: %s", target, why)
				}
			}
		}
	}
	return seen
}

// prose yields the numbered lines outside fenced code.
func prose(page []byte) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		fence, n := "", 0
		for raw := range bytes.Lines(page) {
			n++
			line := strings.TrimRight(string(raw), "\r\n")
			mark := strings.TrimSpace(line)
			switch {
			case fence != "":
				if strings.HasPrefix(mark, fence) {
					fence = ""
				}
			case strings.HasPrefix(mark, "```"), strings.HasPrefix(mark, "~~~"):
				fence = mark[:3]
			default:
				if !yield(n, line) {
					return
				}
			}
		}
	}
}

func targets(line string) []string {
	if m := linkTarget.FindStringSubmatch(line); m != nil {
		return []string{m[1]}
	}
	var found []string
	for _, m := range inlineLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, "``"), -1) {
		found = append(found, m[1])
	}
	return found
}

// broken says why a link leads nowhere. Links to other sites are not followed.
func (t *tree) broken(from, target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	to := from
	if u.Path != "" {
		if path.IsAbs(u.Path) {
			return "a path from the root means something else on every site"
		}
		to = path.Join(path.Dir(from), u.Path)
	}
	page, isFile := t.data[to]
	if !isFile && !t.folders[to] {
		return "there is no " + to
	}
	if u.Fragment == "" || path.Ext(to) != ".md" {
		return ""
	}
	if !anchors(page)[strings.ToLower(u.Fragment)] {
		return to + " has no such heading"
	}
	return ""
}

// anchors are the names that headings get where the pages are shown: small letters, digits, "-" and "_".
func anchors(page []byte) map[string]bool {
	names := map[string]bool{}
	for _, line := range prose(page) {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := slug(linkText.ReplaceAllString(m[1], "$1"))
		unique := name
		for i := 1; names[unique]; i++ {
			unique = fmt.Sprintf("%s-%d", name, i)
		}
		names[unique] = true
	}
	return names
}

func slug(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, text)
}
