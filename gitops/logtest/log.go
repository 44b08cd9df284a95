// Package logtest is a log for tests, which a test reads.
package logtest

import (
	"slices"
	"strings"
	"sync"
)

// Log keeps what handlers of slog write to it. Its zero value is an empty log. Safe for
// concurrent use.
type Log struct {
	mu    sync.Mutex
	lines []string
}

// Write keeps a line: handlers of slog write each record by one call.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	return len(line), nil
}

// Lines returns the lines that have all of the texts, the oldest first. It forgets none of
// them: every call looks at all that was written since the beginning.
func (l *Log) Lines(texts ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			found = append(found, line)
		}
	}
	return found
}
