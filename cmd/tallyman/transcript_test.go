package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata/*.golden")

// transcript is what a person at a terminal sees, with what differs from run to
// run replaced by something of the same width.
type transcript struct {
	t    *testing.T
	text strings.Builder
	ids  map[string]string
}

var (
	uuids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	stamps  = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	rfc3339 = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	clocks  = regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`)
	retries = regexp.MustCompile(` \(\d+ attempts until [^)]*\)`) // as many as there was time for
	ages    = regexp.MustCompile(`\b\d{1,2}s ago`)
	spans   = regexp.MustCompile(`in \d{1,2}s\)`)
	zoned   = regexp.MustCompile(`([^:\d])((Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(\d{4}-\d\d-\d\d )?(at )?\d\d:\d\d UTC`) // with as much of the date as it takes
	waited  = regexp.MustCompile(`(?m)^\S+ in \S+ to \S+: pending\n(\S+ in \S+ to \S+: )`)                          // if it was not over before anybody looked
	commits = regexp.MustCompile(`\b[0-9a-f]{40}\b`)
	shorts  = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	ports   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	proofs  = regexp.MustCompile(`(proof"?: |proved by key )(?:[0-9a-f]{8}\b|"[0-9a-f]{8}")`) // YAML has quotes around what would be a number
	holders = regexp.MustCompile(`(holder"?: "?)[^"\s]+`)
)

// steady takes out what differs from run to run.
func (tr *transcript) steady(text string) string {
	text = uuids.ReplaceAllStringFunc(text, func(id string) string {
		if tr.ids[id] == "" {
			tr.ids[id] = fmt.Sprintf("00000000-0000-0000-0000-%012d", len(tr.ids)+1)
		}
		return tr.ids[id]
	})
	text = rfc3339.ReplaceAllString(text, "2026-01-02T15:04:05Z")
	text = retries.ReplaceAllString(text, "")
	text = stamps.ReplaceAllString(text, "2026-01-02 15:04:05")
	text = clocks.ReplaceAllString(text, "15:04:05")
	text = ages.ReplaceAllString(text, "1s ago")
	text = spans.ReplaceAllString(text, "in 1s)")
	text = zoned.ReplaceAllString(text, "${1}Fri 15:04 UTC")
	text = waited.ReplaceAllString(text, "$1")
	text = commits.ReplaceAllString(text, strings.Repeat("c", 40))
	text = shorts.ReplaceAllStringFunc(text, func(digits string) string {
		if strings.HasPrefix(digits, "00000000") {
			return digits // of an id
		}
		return strings.Repeat("c", 12)
	})
	text = ports.ReplaceAllString(text, "127.0.0.1:1")
	text = proofs.ReplaceAllString(text, "${1}c0ffee00")
	return holders.ReplaceAllString(text, "${1}HOLDER")
}

// run runs a command and notes it with all that it prints and its exit code.
func (tr *transcript) run(args ...string) (stdout string) {
	tr.t.Helper()
	out, errs, exit := run(tr.t, args...)
	fmt.Fprintf(&tr.text, "$ tallyman %s\n%s%s[exit %d]\n\n", strings.Join(args, " "), errs, out, exit)
	return out
}

func (tr *transcript) note(format string, args ...any) {
	fmt.Fprintf(&tr.text, "# "+format+"\n\n", args...)
}

// compare holds the transcript to a file.
func (tr *transcript) compare(name string) {
	tr.t.Helper()
	got := tr.steady(tr.text.String())
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			tr.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tr.t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		tr.t.Errorf("%s has -, this run +:\n%s", file, diff)
	}
}
