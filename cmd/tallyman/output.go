package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops"
)

// printer writes for people, in colour on a terminal, or for programs.
type printer struct {
	out    io.Writer
	format string // "table", "json" or "yaml"
	colour bool
	now    time.Time
}

func newPrinter(out io.Writer, format string) *printer {
	file, ok := out.(*os.File)
	colour := ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if colour {
		info, err := file.Stat()
		colour = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return &printer{out: out, format: format, colour: colour, now: time.Now()}
}

// print writes a server's answer: as it is for programs, or as table does.
func (p *printer) print(answer any, table func()) error {
	switch p.format {
	case "json":
		return p.json(answer)
	case "yaml":
		return p.yaml(answer)
	}
	table()
	return nil
}

func (p *printer) json(answer any) error {
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

// yaml writes the JSON form as YAML, with the fields in the same order.
func (p *printer) yaml(answer any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &node); err != nil {
		return err
	}
	plain(&node)
	out := yaml.NewEncoder(p.out)
	out.SetIndent(2)
	if err := out.Encode(&node); err != nil {
		return err
	}
	return out.Close()
}

// plain takes JSON's braces and quotes away; what needs quotes gets them again.
func plain(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		plain(child)
	}
}

// cell is one place in a table.
type cell struct {
	text   string
	colour string // a key of colours; "" for none
}

// The escape sequences of ECMA-48, section 8.3.117.
var colours = map[string]string{"good": "32", "wait": "33", "bad": "31", "dim": "2", "head": "1"}

func (p *printer) paint(text, colour string) string {
	if !p.colour || colours[colour] == "" || text == "" {
		return text
	}
	return "\x1b[" + colours[colour] + "m" + text + "\x1b[0m"
}

// table writes rows with their columns aligned; the last column takes what it
// needs.
func (p *printer) table(head []string, rows [][]cell) {
	first := make([]cell, len(head))
	for i, text := range head {
		first[i] = cell{text, "head"}
	}
	rows = append([][]cell{first}, rows...)
	widths := make([]int, len(head))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(p.paint(c.text, c.colour))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		fmt.Fprintln(p.out, printable(strings.TrimRight(line.String(), " ")))
	}
}

// painted is what paint puts around a text.
var painted = regexp.MustCompile("\x1b\\[(0|1|2|31|32|33)m")

// printable removes control characters from a text for a terminal: commits are
// written by others, and so are a git server's messages.
func printable(text string) string {
	visible := func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return utf8.RuneError
		}
		return r
	}
	var clean strings.Builder
	at := 0
	for _, ours := range painted.FindAllStringIndex(text, -1) {
		clean.WriteString(strings.Map(visible, text[at:ours[0]]) + text[ours[0]:ours[1]])
		at = ours[1]
	}
	return clean.String() + strings.Map(visible, text[at:])
}

// stateColours are the colours of states and outcomes, and of where rollouts stand.
var stateColours = map[string]string{
	string(gitops.Committed): "good", string(gitops.Unchanged): "good", string(gitops.Pending): "wait", string(gitops.Proposed): "wait",
	string(gitops.Superseded): "dim", string(gitops.Closed): "dim", string(gitops.Cancelled): "dim", string(gitops.Failed): "bad",
	string(gitops.OutcomeAccepted): "good", string(gitops.OutcomeIgnored): "dim", string(gitops.OutcomeRejected): "bad",
	string(gitops.OutcomeWaiting): "wait", // and where a rollout waits
	string(gitops.RolloutPerson):  "wait", string(gitops.RolloutSyncing): "wait", string(gitops.RolloutProgressing): "wait", string(gitops.RolloutPaused): "wait", string(gitops.RolloutUnknown): "wait",
	string(gitops.RolloutHealthy): "good", string(gitops.RolloutDegraded): "bad", string(gitops.RolloutSyncFailed): "bad", string(gitops.RolloutTimedOut): "bad",
	string(gitops.RolloutUnmapped): "bad", string(gitops.RolloutGone): "bad",
}

func stateCell[T ~string](state T) cell { return cell{string(state), stateColours[string(state)]} }

// timestamp is a time for people; UTC, as in the log.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// ago is how long ago something was, roughly.
func (p *printer) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return humanDuration(p.now.Sub(t)) + " ago"
}

// humanDuration is a duration for people: its greatest unit.
func humanDuration(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// short is the first digits of a commit.
func short(commit string) string { return commit[:min(len(commit), 12)] }
