package limits

import "bytes"

// What a request's header may have, its first line included. Package http keeps an
// entry of a map for each line, which takes many times the bytes of a short one, so
// lines are bounded as well. GitHub sends 20 lines and 1 KiB, proxies add some, and a
// job's token has 2 KiB.
const (
	maxHeaderBytes = 8 << 10
	maxHeaderLines = 100
)

// header follows the requests of one connection: it counts the bytes and lines of each
// header before package http reads them, and tells headers from bodies. A header ends
// where package http takes it to end, at an empty line; how long the body is says
// package http itself, so the two cannot disagree.
type header struct {
	bytes, lines int   // of the header that has begun
	line         int   // bytes of its last line so far
	startsCR     bool  // which begins with a carriage return
	body         int64 // bytes of the body that are still to come
}

// next returns how many of the bytes that came may be given to package http now: those
// up to the end of a header, or of a body. What follows a header must wait until
// package http has said how long the body is. ok is false when the header has too many
// bytes or lines.
func (h *header) next(p []byte) (n int, ok bool) {
	if h.body > 0 {
		n = int(min(h.body, int64(len(p))))
		h.body -= int64(n)
		return n, true
	}
	for n < len(p) {
		line, ends := p[n:], false
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line, ends = line[:end+1], true
		}
		if h.line == 0 {
			h.startsCR = line[0] == '\r'
		}
		n += len(line)
		h.bytes += len(line)
		h.line += len(line)
		switch {
		case h.bytes > maxHeaderBytes:
			return n, false
		case ends && (h.line == 1 || h.line == 2 && h.startsCR): // "\n" or "\r\n"
			*h = header{}
			return n, true
		case ends:
			if h.lines++; h.lines > maxHeaderLines {
				return n, false
			}
			h.line = 0
		}
	}
	return n, true
}

// unfinished reports whether a header has begun and not ended.
func (h *header) unfinished() bool { return h.bytes > 0 }
