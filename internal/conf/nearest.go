package conf

import "strings"

// nearest gives the known name that a person most likely meant by name, or "" if none is close: no further than a
// third of its length, and at least two edits for names of three letters and more. Case, '-' and '_' do not count, so
// "pingPeriod" finds "ping_period".
func nearest(name string, known []string) string {
	plain := fold(name)
	if len(plain) < 2 || len(plain) > 64 {
		return ""
	}
	limit := max(len(plain)/3, 2)
	if len(plain) == 2 {
		limit = 1
	}
	best, found := limit+1, ""
	for _, k := range known {
		if d := distance(plain, fold(k)); d < best {
			best, found = d, k
		}
	}
	return found
}

var folder = strings.NewReplacer("_", "", "-", "", " ", "")

func fold(s string) string { return strings.ToLower(folder.Replace(s)) }

// distance is Levenshtein's, with two swapped neighbours as one edit (optimal string alignment), over bytes.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
