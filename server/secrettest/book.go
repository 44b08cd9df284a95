// Package secrettest holds a whole test suite to one assertion: that no secret
// appears in anything that the program writes, says or counts. Logs, answers and
// metrics of all tests go into one [Book], and so does every secret as it is
// made; after the last test the one is searched for the other.
package secrettest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
)

// Book is what was said, and what must not have been. Safe for concurrent use.
type Book struct {
	mu        sync.Mutex
	forbidden map[string]bool
	text      bytes.Buffer
}

// Forbid adds secrets, and the forms in which each would be as good: as base64, as
// it stands in a URL.
func (b *Book) Forbid(secrets ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.forbidden == nil {
		b.forbidden = make(map[string]bool)
	}
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		// The end of the text before it decides which of base64's three forms it has,
		// and its last letters depend on what follows.
		for offset := range 3 {
			encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + secret))
			skip, keep := []int{0, 2, 3}[offset], len(encoded)/4*4-4
			if keep-skip >= 12 {
				b.forbidden[encoded[skip:keep]] = true
			}
		}
		b.forbidden[secret] = true
		b.forbidden[url.QueryEscape(secret)] = true
	}
}

// Write adds what was said.
func (b *Book) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

// beginning is as much of a secret as it is looked for by: a suite has thousands
// of secrets and says many megabytes, which are gone through once.
const beginning = 12

// Found are the places where a secret was said.
func (b *Book) Found() (places []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.Bytes()
	place := func(at int, secret string) {
		places = append(places, fmt.Sprintf("%q", text[max(0, at-300):min(len(text), at+len(secret)+50)]))
	}
	by := make(map[[beginning]byte][]string)
	for secret := range b.forbidden {
		if len(secret) >= beginning {
			key := [beginning]byte([]byte(secret))
			by[key] = append(by[key], secret)
		} else if at := bytes.Index(text, []byte(secret)); at >= 0 {
			place(at, secret)
		}
	}
	for at := 0; at+beginning <= len(text); at++ {
		for _, secret := range by[[beginning]byte(text[at:])] {
			if bytes.HasPrefix(text[at:], []byte(secret)) {
				place(at, secret)
			}
		}
	}
	return places
}

// Main runs the tests, a [testing.M], and then makes the assertion. It returns the exit
// status.
func Main(m interface{ Run() int }, b *Book) int {
	status := m.Run()
	for _, place := range b.Found() {
		fmt.Fprintf(os.Stderr, "FAIL: a secret was said: %s\n", place)
		status = 1
	}
	return status
}
