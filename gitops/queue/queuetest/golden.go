package queuetest

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

//go:embed testdata/*.txt
var goldenFiles embed.FS

// runGolden runs each golden script on a store of its own. testdata/README.md says
// how they are read.
func runGolden(t *testing.T, create func(t *testing.T) Instance) {
	files, err := goldenFiles.ReadDir("testdata")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no golden scripts: %v", err)
	}
	for _, f := range files {
		t.Run("Golden/"+strings.TrimSuffix(f.Name(), ".txt"), func(t *testing.T) {
			text, err := goldenFiles.ReadFile(path.Join("testdata", f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			g := &golden{t: t, instance: create(t), leases: make(map[string]queue.Lease), names: make(map[string]string)}
			g.clock = clocktest.At(began)
			g.open()
			defer g.close()
			for _, c := range parseGolden(t, string(text)) {
				got := g.answer(c)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Fatalf("%s:%d: %s: -want +got:\n%s", f.Name(), c.line, c.call, diff)
				}
			}
		})
	}
}

// golden is a golden script under way.
type golden struct {
	t        *testing.T
	instance Instance
	q        queue.Queue
	clock    *clocktest.Clock
	leases   map[string]queue.Lease // the last that each holder was given of each name, by "holder name"
	names    map[string]string      // of updates by id, and ids by name
	cursor   string                 // of the change that was printed last
}

// goldenCall is a call of a script, and what must be answered.
type goldenCall struct {
	line  int
	call  string
	input []string
	want  []string
}

// parseGolden reads calls as etcd's and CockroachDB's datadriven tests have them:
// a line with the call, lines of input, "----", and the answer up to an empty line.
func parseGolden(t *testing.T, text string) (all []goldenCall) {
	lines := strings.Split(text, "\n")
	for at := 0; at < len(lines); at++ {
		if lines[at] == "" || strings.HasPrefix(lines[at], "#") {
			continue
		}
		c := goldenCall{line: at + 1, call: lines[at]}
		for at++; at < len(lines) && lines[at] != "----"; at++ {
			if lines[at] == "" {
				t.Fatalf("line %d: a call without ----", c.line)
			}
			c.input = append(c.input, lines[at])
		}
		for at++; at < len(lines) && lines[at] != ""; at++ {
			c.want = append(c.want, lines[at])
		}
		all = append(all, c)
	}
	return all
}

func (g *golden) open() {
	q, err := g.instance.Open(g.clock.Now)
	if err != nil {
		g.t.Fatalf("Open: %v", err)
	}
	g.q = q
}

func (g *golden) close() {
	if err := g.q.Close(); err != nil {
		g.t.Errorf("Close: %v", err)
	}
}

// arguments are the words behind a call's name, and those of the form key=value.
type arguments struct {
	words  []string
	values map[string]string
}

func parseArguments(call string) (name string, a arguments) {
	a.values = make(map[string]string)
	for i, word := range strings.Fields(call) {
		key, value, isValue := strings.Cut(word, "=")
		switch {
		case i == 0:
			name = word
		case isValue:
			a.values[key] = value
		default:
			a.words = append(a.words, word)
		}
	}
	return name, a
}

// at is the word of this index, "" when there are fewer.
func (a arguments) at(i int) string {
	if i < len(a.words) {
		return a.words[i]
	}
	return ""
}

func (a arguments) has(word string) bool { return slices.Contains(a.words, word) }

// duration reads a value such as ttl=1m.
func (g *golden) duration(text string, otherwise time.Duration) time.Duration {
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		g.t.Fatal(err)
	}
	return d
}

// time reads a time as the script has it: since its beginning.
func (g *golden) time(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	return began.Add(g.duration(text, 0))
}

// id is the id of an update that the script names delivery:environment/app, or as
// it stands when it names none.
func (g *golden) id(name string) string {
	if id, ok := g.names[name]; ok {
		return id
	}
	return name
}

// failure is how a script has an error: by its code.
func failure(err error) []string { return []string{fmt.Sprintf("error: %s", gitops.CodeOf(err))} }
