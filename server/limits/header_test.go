package limits

import (
	"bufio"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

const firstLine = "GET / HTTP/1.1\r\n"

// feed gives a header text in pieces, as the network may. It returns how many headers
// ended, and whether one was refused.
func feed(text string, piece func() int) (ended int, refused bool) {
	var h header
	for len(text) > 0 {
		n := min(piece(), len(text))
		given, ok := h.next([]byte(text[:n]))
		if !ok {
			return ended, true
		}
		if text = text[given:]; !h.unfinished() {
			ended++
		}
	}
	return ended, false
}

func TestHeadersAreBounded(t *testing.T) {
	of := func(size int) string { // a whole header of so many bytes
		return firstLine + "X: " + strings.Repeat("x", size-len(firstLine)-len("X: \r\n\r\n")) + "\r\n\r\n"
	}
	lines := func(n int, end string) string { return firstLine + strings.Repeat("a:"+end, n-1) + end }
	for name, c := range map[string]struct {
		text    string
		ended   int
		refused bool
	}{
		"the largest":                     {of(maxHeaderBytes), 1, false},
		"a byte more":                     {of(maxHeaderBytes + 1), 0, true},
		"the most lines":                  {lines(maxHeaderLines, "\r\n"), 1, false},
		"a line more":                     {lines(maxHeaderLines+1, "\r\n"), 0, true},
		"the most lines, without CR":      {lines(maxHeaderLines, "\n"), 1, false},
		"a line more, without CR":         {lines(maxHeaderLines+1, "\n"), 0, true},
		"continued lines":                 {firstLine + "X: 1\r\n" + strings.Repeat(" \r\n", maxHeaderLines-2) + "\r\n", 1, false},
		"continued lines, one more":       {firstLine + "X: 1\r\n" + strings.Repeat("\t\n", maxHeaderLines-1) + "\r\n", 0, true},
		"CR alone is no end":              {firstLine + "\r\r\n" + strings.Repeat("a:\n", maxHeaderLines), 0, true},
		"CR within a line is no end":      {firstLine + "a\r\n" + strings.Repeat("b\r\n", maxHeaderLines), 0, true},
		"an endless first line":           {strings.Repeat("x", maxHeaderBytes+1), 0, true},
		"each header for itself":          {strings.Repeat(of(maxHeaderBytes), 3), 3, false},
		"empty lines before it":           {"\r\n\n" + of(maxHeaderBytes), 3, false}, // each ends a header, of which package http makes what it likes
		"a large one after a small one":   {of(100) + of(maxHeaderBytes+1), 1, true},
		"many lines after a small header": {of(100) + lines(maxHeaderLines+1, "\n"), 1, true},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		for how, piece := range map[string]func() int{
			"at once":      func() int { return 1 << 20 },
			"by bytes":     func() int { return 1 },
			"in pages":     func() int { return 4096 },
			"in any parts": func() int { return 1 + random.IntN(50) },
		} {
			if ended, refused := feed(c.text, piece); ended != c.ended || refused != c.refused {
				t.Errorf("%s, %s: %d ended, refused %t", name, how, ended, refused)
			}
		}
	}
}

// A body's bytes are nobody's header, whatever is in them, and the next header counts
// from its first byte.
func TestBodiesAreNoHeaders(t *testing.T) {
	var h header
	head := firstLine + "\r\n"
	body := strings.Repeat("a:\n", maxHeaderLines+1) + "\r\n"
	if n, ok := h.next([]byte(head + body)); n != len(head) || !ok {
		t.Fatalf("%d of the header, %t", n, ok)
	}
	h.body = int64(len(body))
	for rest := body + head; len(rest) > 0; {
		n, ok := h.next([]byte(rest[:min(len(rest), 7)]))
		if !ok || n == 0 {
			t.Fatalf("refused at %q", rest)
		}
		rest = rest[n:]
	}
	if h.unfinished() || h.body != 0 {
		t.Errorf("%+v", h)
	}
}

// What is counted as a header's end is what package http counts: whatever comes, no
// header is longer than it was counted.
func FuzzHeaderEnds(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\na: b\r\n\r\n")
	f.Add("GET / HTTP/1.1\n a: b\n\n")
	f.Add("GET / HTTP/1.1\r\n\r\r\n\n")
	f.Add("GET / HTTP/1.1\r\na:\r\n \r\n\tx\r\n\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxHeaderBytes || strings.Count(text, "\n") > maxHeaderLines {
			return
		}
		var h header
		n, ok := h.next([]byte(text))
		if !ok {
			t.Fatalf("%q is refused", text)
		}
		used, parsed := headerOfPackageHTTP(text)
		if parsed && (h.unfinished() || used != n) {
			t.Errorf("of %q package http takes %d bytes, %d were counted", text, used, n)
		}
	})
}

// headerOfPackageHTTP is how many bytes of a text http.ReadRequest takes as a header;
// parsed is false when it is none.
func headerOfPackageHTTP(text string) (used int, parsed bool) {
	from := strings.NewReader(text)
	buffered := bufio.NewReaderSize(from, maxHeaderBytes)
	if _, err := http.ReadRequest(buffered); err != nil {
		return 0, false
	}
	return len(text) - from.Len() - buffered.Buffered(), true
}
