package values

const (
	// MaxFile is the size in bytes over which a file is refused. Size alone costs
	// little: a file is some copies of its text.
	MaxFile = 5 << 20
	// MaxNodes is how many values, keys and lines a file may have. The readers need
	// some 400 bytes for each, and an edit reads a file before and after: this bounds
	// it to some 330 MiB, where the size of the file does not (5 MiB of "-" lines are
	// 2.6 million values), and the chart's pod has 512 MiB. A values file of 1 MiB
	// has 120,000 and takes 90 MiB; one for a thousand apps, of 3 MB, has 310,000.
	MaxNodes = 400_000
	// maxDirectives is how many lines may begin with %. The readers compare each
	// %TAG with all before it.
	maxDirectives = 100
)

// checkBounds refuses a file that would need too much memory or time, before a
// reader builds anything of it. It does not read YAML: it counts every line and
// every character that could make a node, also in comments and quotes, where they
// make none. So no text gets past it, and real files have a fraction of the limit.
func checkBounds(text []byte) error {
	if len(text) > MaxFile {
		return refuse(FileTooLarge, "the file has %d bytes, and at most %d are edited; split it", len(text), MaxFile)
	}
	nodes, directives := 0, 0
	begins, blank := true, true // where a line begins; with nothing but blanks so far
	for i, c := range text {
		switch c {
		case '\n':
			begins, blank = true, true
			continue
		case ' ', '\t', '\r':
			begins = false
			continue
		case '%':
			if begins {
				directives++
			}
		case ',', '[', '{', ':':
			nodes++
		case '-', '?':
			if i+1 == len(text) || text[i+1] == ' ' || text[i+1] == '\n' || text[i+1] == '\t' || text[i+1] == '\r' {
				nodes++
			}
		}
		if blank {
			nodes++
		}
		begins, blank = false, false
		if nodes > MaxNodes || directives > maxDirectives {
			break
		}
	}
	switch {
	case directives > maxDirectives:
		return refuse(FileTooLarge, "the file has more than %d lines that begin with %% (directives); remove those that it does not need", maxDirectives)
	case nodes > MaxNodes:
		return refuse(FileTooLarge, "the file has more than %d lines and values, and at most so many are edited; split it", MaxNodes)
	}
	return nil
}
