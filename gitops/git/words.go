package git

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Sanitize makes what somebody else wrote fit to be shown: one line of printable
// text, and not too long.
func Sanitize(text string) string {
	var b strings.Builder
	for _, field := range strings.FieldsFunc(strings.ToValidUTF8(text, "?"), notShown) {
		if b.Len()+len(field) >= maxWordsBytes {
			b.WriteString(" ...")
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(field)
	}
	return b.String()
}

func notShown(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }

// hide takes secrets out of what somebody else wrote.
func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// shorten cuts sanitized text to the length of a sentence.
func shorten(text string) string {
	if len(text) <= maxLineBytes {
		return text
	}
	at := maxLineBytes
	for !utf8.RuneStart(text[at]) {
		at--
	}
	return text[:at] + " ..."
}

// serverWords keeps the end of what a server says beside its answers, where a reason
// stands, and leaves out how far it has come. Safe for concurrent use.
type serverWords struct {
	mu   sync.Mutex
	kept []string // lines
	size int      // of them
	open []byte   // the line that has not ended yet
	cr   bool     // after a carriage return: what comes is written over the open line
}

func (w *serverWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range p {
		switch {
		case c == '\n':
			w.endLine()
		case c == '\r':
			w.cr = true
		default:
			if w.cr { // what came before was written over
				w.open, w.cr = w.open[:0], false
			}
			if len(w.open) >= 2*maxWordsBytes {
				w.open = append(w.open[:0], w.open[maxWordsBytes:]...)
			}
			w.open = append(w.open, c)
		}
	}
	return len(p), nil
}

// counter is a line that says how far something has come, or that it is done:
// "Resolving deltas: 100% (4/4), done.", as git has it (progress.c),
// "Processing changes: refs: 1, done" of Gerrit and "Storing packfile... done (48 ms)"
// of Azure DevOps.
var counter = regexp.MustCompile(`^(remote: )?[A-Z][a-z]+ [a-z ]+(: +\d+% \(\d+/\d+\)|: +(refs: )?\d+\b.*\bdone\.?$|\.\.\. (\(\d+/\d+\)|done\b))`)

func (w *serverWords) endLine() {
	line := strings.TrimSpace(string(w.open))
	w.open, w.cr = w.open[:0], false
	if line == "" || counter.MatchString(line) {
		return
	}
	w.kept = append(w.kept, line)
	w.size += len(line) + 1
	for w.size >= maxWordsBytes && len(w.kept) > 1 {
		w.size -= len(w.kept[0]) + 1
		w.kept = w.kept[1:]
	}
}

// String is the words, fit to be shown.
func (w *serverWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cr { // a line that was to be written over
		w.open, w.cr = w.open[:0], false
	}
	w.endLine()
	text := joinLines(w.kept)
	if len(text) >= maxWordsBytes {
		text = "... " + text[len(text)-maxWordsBytes+8:]
	}
	return Sanitize(text)
}

// joinLines makes one line of several. A semicolon parts git's own "error: hook
// declined to update refs/heads/main" from a hook's last words before it.
func joinLines(lines []string) string {
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			last, _ := utf8.DecodeLastRuneInString(lines[i-1])
			if strings.HasPrefix(line, "error: ") && (unicode.IsLetter(last) || unicode.IsDigit(last)) {
				b.WriteByte(';')
			}
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}

// SameReason reports whether a server gives the same reason twice. Ids, hashes,
// numbers and times do not count: hosts put those of the push into it.
func SameReason(a, b string) bool { return slices.Equal(lasting(a), lasting(b)) }

// hexadecimal is a word that may be a hash or a part of one.
var hexadecimal = regexp.MustCompile(`^[0-9a-f]{7,}$`)

// lasting is the words of a reason that stay from one push to the next.
func lasting(reason string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(strings.ToLower(reason), unicode.IsSpace), func(word string) bool {
		return strings.ContainsFunc(word, unicode.IsDigit) || hexadecimal.MatchString(strings.TrimFunc(word, unicode.IsPunct))
	})
}
