package apphistory

import (
	"strings"
)

const (
	// maxChanges is how many lines one update changes at most that is shown.
	maxChanges = 50
	// maxShown is the longest part of a line that is shown, in bytes.
	maxShown = 200
	// lookAhead is how many lines of a file are searched for the next common one.
	lookAhead = 50
)

// lineChange is a line in the place of another. An empty one is none.
type lineChange struct{ removed, added string }

// changesOf are the lines that differ, in their order; nil when there are more than
// maxChanges or no common line follows.
func changesOf(before, after string) (changes []lineChange) {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	if len(a) == len(b) { // values in the place of others
		return replaced(a, b)
	}
	for len(a) > 0 || len(b) > 0 {
		if len(a) > 0 && len(b) > 0 && a[0] == b[0] {
			a, b = a[1:], b[1:]
			continue
		}
		removed, added, found := nextCommon(a, b)
		if !found {
			return nil
		}
		for i := range max(removed, added) {
			var c lineChange
			if i < removed {
				c.removed = a[i]
			}
			if i < added {
				c.added = b[i]
			}
			changes = append(changes, c)
		}
		if len(changes) > maxChanges {
			return nil
		}
		a, b = a[removed:], b[added:]
	}
	return changes
}

// replaced are the lines that differ at their places.
func replaced(a, b []string) (changes []lineChange) {
	for i := range a {
		if a[i] != b[i] {
			changes = append(changes, lineChange{a[i], b[i]})
		}
	}
	if len(changes) > maxChanges {
		return nil
	}
	return changes
}

// nextCommon is how many lines of each stand before the next that they have in common,
// or before both ends: as few as can be.
func nextCommon(a, b []string) (removed, added int, found bool) {
	for together := 1; together <= 2*lookAhead; together++ {
		for removed := max(0, together-lookAhead); removed <= min(together, lookAhead); removed++ {
			added := together - removed
			switch {
			case removed > len(a) || added > len(b):
			case removed == len(a) && added == len(b):
				return removed, added, true
			case removed < len(a) && added < len(b) && a[removed] == b[added]:
				return removed, added, true
			}
		}
	}
	return 0, 0, false
}

// shown are the changes as lines of a diff. Where a line has more than what was
// changed, as in JSON and in collections of one line, the rest of it is left out: it may
// be a secret, and whoever may see an app's tag may not see that.
func shown(changes []lineChange) (lines []string) {
	for _, c := range changes {
		removed, added := c.removed, c.added
		if removed != "" && added != "" {
			removed, added = changedPart(removed, added)
		}
		for _, line := range []struct{ sign, text string }{{"-", removed}, {"+", added}} {
			if line.text == "" {
				continue
			}
			if len(line.text) > maxShown {
				line.text = strings.ToValidUTF8(line.text[:maxShown], "") + "…"
			}
			lines = append(lines, line.sign+line.text)
		}
	}
	return lines
}

// changedPart is the entry of both lines in which they differ: what stands between the
// brackets and commas around it.
func changedPart(removed, added string) (from, to string) {
	head := 0
	for head < min(len(removed), len(added)) && removed[head] == added[head] {
		head++
	}
	tail := 0
	for tail < min(len(removed), len(added))-head && removed[len(removed)-1-tail] == added[len(added)-1-tail] {
		tail++
	}
	begin := strings.LastIndexAny(removed[:head], "{[,") + 1
	rest := removed[len(removed)-tail:]
	end := strings.IndexAny(rest, "}],#")
	if end < 0 {
		end = len(rest)
	}
	part := func(line string) string {
		text := line[begin:len(line)-tail] + rest[:end]
		if begin > 0 {
			text = "…" + text
		}
		if end < len(rest) {
			text = strings.TrimRight(text, " ") + " …"
		}
		return text
	}
	return part(removed), part(added)
}
