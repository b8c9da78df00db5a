package trace

import "strings"

// Bounds of a tracestate.
const (
	maxMembers  = 32  // section 3.3.1.1
	maxKey      = 256 // section 3.3.1.3.1
	maxValue    = 256 // section 3.3.1.3.2
	maxState    = 512 // bytes we carry on: what section 3.3.1.5 asks for at least
	largeMember = 128 // the first to go when that is exceeded
)

// parseState joins the headers of one tracestate into one list without spaces and empty members, or gives "" if any
// member is malformed, a key stands twice or there are too many: a damaged list is dropped as a whole.
func parseState(headers []string) string {
	var members []string
	keys := make(map[string]bool)
	for _, h := range headers {
		for m := range strings.SplitSeq(h, ",") {
			if m = strings.Trim(m, " \t"); m == "" {
				continue
			}
			key, value, ok := strings.Cut(m, "=")
			if !ok || !isKey(key) || !isValue(value) || keys[key] || len(members) == maxMembers {
				return ""
			}
			keys[key] = true
			members = append(members, m)
		}
	}
	return strings.Join(shorten(members), ",")
}

// shorten drops whole members until the list fits: large ones first, then from the end, where the oldest are.
func shorten(members []string) []string {
	total := len(members) - 1
	for _, m := range members {
		total += len(m)
	}
	for i := len(members) - 1; i >= 0 && total > maxState; i-- {
		if len(members[i]) > largeMember {
			total -= len(members[i]) + 1
			members = append(members[:i], members[i+1:]...)
		}
	}
	for total > maxState {
		last := len(members) - 1
		total -= len(members[last]) + 1
		members = members[:last]
	}
	return members
}

func isKey(s string) bool {
	if s == "" || len(s) > maxKey {
		return false
	}
	for i := range len(s) {
		c := s[i]
		plain := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !plain && (i == 0 || strings.IndexByte("_-*/@", c) < 0) {
			return false
		}
	}
	return true
}

// isValue wants printable ASCII without comma and equals sign, and no space at the end (that was trimmed as the
// list's).
func isValue(s string) bool {
	if s == "" || len(s) > maxValue {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}
