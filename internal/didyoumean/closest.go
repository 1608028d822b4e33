// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package didyoumean // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"

const (
	// maxLength bounds the names that are compared, in bytes, and with it the work.
	maxLength = 64
	// maxDistance is how many edits a name may be away at most.
	maxDistance = 3
	// lettersPerEdit allows fewer edits for short names, which would otherwise all be near each other.
	lettersPerEdit = 4
)

// Closest returns the candidate that was probably meant by name: the one with the fewest edits, if it is near enough. A
// change of case is not an edit, and swapping two adjacent letters is one. If name is itself a candidate, it returns
// false. It does not allocate.
func Closest(name string, candidates []string) (string, bool) {
	if name == "" || len(name) > maxLength {
		return "", false
	}
	best, least := "", maxDistance+1
	for _, candidate := range candidates {
		if candidate == name {
			return "", false
		}
		most := min(maxDistance, len(candidate)/lettersPerEdit, least-1)
		if len(candidate) > maxLength || max(len(name)-len(candidate), len(candidate)-len(name)) > most {
			continue
		}
		if edits := distance(name, candidate, most); edits <= most {
			best, least = candidate, edits
		}
	}
	return best, best != ""
}

// distance counts the edits (a byte inserted, removed, replaced, or swapped with its neighbor) from a to b, which
// are at most maxLength long. Case of ASCII letters does not count. Beyond most edits it gives up and returns more:
// nearly all pairs of names have nothing in common, and that shows at once.
func distance(a, b string, most int) int {
	const far = maxLength
	var rows [3][maxLength + 2]uint8
	before, above, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		row[j] = uint8(j)
	}
	for i := range len(a) {
		before, above, row = above, row, before
		x := lower(a[i])
		// Cells more than most off the diagonal are more than most edits away.
		from, to := max(i-most, 0), min(i+most+1, len(b))
		row[from] = far
		if from == 0 {
			row[0] = uint8(i + 1)
		}
		least := row[from]
		for j := from; j < to; j++ {
			y := lower(b[j])
			edits := above[j]
			if x != y {
				edits++
			}
			edits = min(edits, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x == lower(b[j-1]) && lower(a[i-1]) == y {
				edits = min(edits, before[j-1]+1)
			}
			row[j+1] = edits
			least = min(least, edits)
		}
		row[to+1] = far
		if int(least) > most {
			return most + 1
		}
	}
	return int(row[len(b)])
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
