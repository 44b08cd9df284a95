package client

import (
	"strings"
	"testing"
)

// Whatever a stream says, reading it ends, and every block is handed on once.
func FuzzReadEvents(f *testing.F) {
	f.Add("retry: 1\nid: 1\n\n: hello\r\nid: 2\r\nevent: update\r\ndata: {}\r\n\r\n")
	f.Add("data\ndata:\ndata: \n\n:\n\nid\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		blocks := 0
		_ = readEvents(strings.NewReader(text), func(e rawEvent) error {
			blocks++
			_, _ = e.decode()
			if strings.Contains(e.id+e.kind, "\n") {
				t.Errorf("a line break in %+v", e)
			}
			return nil
		})
		if blocks > strings.Count(text, "\n")+1 {
			t.Errorf("%d blocks", blocks)
		}
	})
}
