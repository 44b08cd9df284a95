package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Bytes is a number of bytes. In the file it is written with a unit, as in "400MiB":
// KiB, MiB or GiB, or B for bytes.
type Bytes int64

// String writes it with the largest unit that leaves a whole number.
func (b Bytes) String() string {
	for _, u := range []struct {
		name  string
		bytes Bytes
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if b != 0 && b%u.bytes == 0 {
			return fmt.Sprintf("%d%s", b/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(b))
}

var bytesForm = regexp.MustCompile(`^([0-9]+)(B|KiB|MiB|GiB)$`)

// parseBytes reads what String writes. A number without a unit may be meant in any, and
// MB may be meant as MiB, so neither is taken.
func parseBytes(text string) (Bytes, bool) {
	m := bytesForm.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	unit := map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[m[2]]
	n, err := strconv.ParseInt(m[1], 10, 64)
	return Bytes(n * unit), err == nil && n <= math.MaxInt64/unit
}
