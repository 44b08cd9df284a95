package values

import (
	"slices"
	"sort"
)

// splice replaces the bytes from start to end.
type splice struct {
	start, end int
	text       string
}

// spliceAll puts the splices into a text, which stays as it is. It writes the result
// over out where that is large enough.
func spliceAll(out, text []byte, splices []splice) ([]byte, error) {
	sort.SliceStable(splices, func(i, j int) bool { return splices[i].start < splices[j].start })
	size := len(text)
	for _, sp := range splices {
		size += len(sp.text)
	}
	out = slices.Grow(out[:0], size)
	at := 0
	for _, sp := range splices {
		if sp.start < at {
			return nil, refuse(Unverified, "two values of this edit overlap in the file")
		}
		out = append(out, text[at:sp.start]...)
		out = append(out, sp.text...)
		at = sp.end
	}
	return append(out, text[at:]...), nil
}
