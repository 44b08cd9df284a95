package rollout

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// recorded is one answer of Argo CD, as it was recorded from one.
type recorded struct {
	At           float64       `json:"at_seconds"`
	File         string        `json:"file"` // of the recording
	Application  *Application  `json:"application"`
	Applications []Application `json:"applications"` // a list
	Tree         *Tree         `json:"tree"`
	Managed      []Managed     `json:"managed"`
	Windows      *Windows      `json:"windows"`
	Gone         bool          `json:"gone"`
}

func recording(t testing.TB, name string) (all []recorded) {
	content, err := os.ReadFile(filepath.Join("testdata", "stories", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// body is the Application of one file of a recording.
func body(t testing.TB, name, file string) Application {
	for _, r := range recording(t, name) {
		if strings.HasPrefix(r.File, file) && r.Application != nil {
			return *r.Application
		}
	}
	t.Fatalf("%s has no %s", name, file)
	return Application{}
}

// treeOf grows a tree of what an Application says of itself: a pod for each image, below a
// ReplicaSet of its own.
func treeOf(a Application) *Tree {
	tree := &Tree{}
	for i, image := range a.Status.Summary.Images {
		set, pod := node("ReplicaSet", "set"+strconv.Itoa(i)), node("Pod", "pod"+strconv.Itoa(i))
		pod.Images = []string{image}
		tree.Nodes = append(tree.Nodes, set, below(pod, set))
	}
	return tree
}

func node(kind, name string) Node {
	return Node{Kind: kind, Namespace: "myshop", Name: name, UID: kind + "/" + name}
}

func below(n, parent Node) Node {
	n.ParentRefs = append(n.ParentRefs, parentRef(parent))
	return n
}

func parentRef(n Node) (ref struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	UID   string `json:"uid"`
}) {
	ref.Group, ref.Kind, ref.Name, ref.UID = n.Group, n.Kind, n.Name, n.UID
	return ref
}

// follower looks as the real one does: what a verdict wants it gets, and judges again.
type follower struct {
	subject Subject
	sources []int
	known   map[string]Containment // by the beginnings of revisions
	memory  Memory
	asked   Wants // ever
}

func (f *follower) look(l Look, tree *Tree, managed []Managed, windows *Windows) Verdict {
	l.Sources, l.Containing = f.sources, make(map[string]Containment)
	for range 6 {
		var v Verdict
		v, f.memory = Judge(f.subject, l, f.memory)
		f.asked.Refresh = f.asked.Refresh || v.Wants.Refresh
		f.asked.Windows = f.asked.Windows || v.Wants.Windows
		if len(v.Wants.Containing) == 0 && !v.Wants.Tree && !v.Wants.Managed && !v.Wants.Windows {
			return v
		}
		for _, r := range v.Wants.Containing {
			l.Containing[r] = Elsewhere
			for prefix, c := range f.known {
				if strings.HasPrefix(r, prefix) {
					l.Containing[r] = c
				}
			}
		}
		if v.Wants.Tree {
			l.Tree = tree
		}
		if v.Wants.Managed {
			l.Managed = append([]Managed{}, managed...)
		}
		if v.Wants.Windows {
			l.Windows = windows
		}
		if v.State.Final() {
			return v
		}
	}
	panic("it wants the same again and again")
}

var epoch = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

// story is what the update of one commit went through.
type story struct {
	name      string
	recording string
	first     string // file; "" is the first
	last      string // file; "" is the last
	app       string // of those that the recording has; "" is all
	commit    string // its beginning
	image     string // without registry
	tag       string
	sources   []int
	known     map[string]Containment
	want      string   // states, in their order
	words     []string // of reasons
	unasked   bool     // no refresh is needed
}

// play replays the recording until a verdict is final. Between two answers, and for a minute
// after the last, it looks each second at the same.
func (s story) play(t *testing.T) (went []string, final Verdict, asked Wants) {
	all := recording(t, s.recording)
	f := &follower{sources: s.sources, known: s.known}
	f.subject = Subject{Image: "registry.example/" + s.image, Tag: s.tag, Since: epoch}
	if s.image == "myshop-api" {
		f.subject.Image = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/myshop-api"
	}
	if s.sources == nil {
		f.sources = []int{0}
	}
	f.subject.Commit = s.commit + strings.Repeat("0", 40-len(s.commit)) // one that Argo CD never compares with
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(text), `"`+s.commit); i >= 0 {
		f.subject.Commit = string(text[i+1 : i+41])
	}
	tree, managed, windows := (*Tree)(nil), []Managed(nil), &Windows{CanSync: true}
	for _, r := range all {
		if r.Windows != nil {
			windows = r.Windows
		}
		if r.Managed != nil {
			managed = r.Managed
		}
	}
	begun := s.first == ""
	for i, r := range all {
		begun = begun || strings.HasPrefix(r.File, s.first)
		if !begun || r.Application == nil && !r.Gone || r.Application != nil && s.app != "" && r.Application.Metadata.Name != s.app {
			continue
		}
		isLast := s.last != "" && strings.HasPrefix(r.File, s.last) || i == len(all)-1
		until := r.At + 60
		if tree = treeOf(app(r)); i+1 < len(all) {
			if !isLast {
				until = max(all[i+1].At, r.At+0.001)
			}
			if all[i+1].Tree != nil {
				tree = all[i+1].Tree
			}
		}
		for now := r.At; now < until; now++ {
			v := f.look(Look{Now: at(now), Application: r.Application}, tree, managed, windows)
			line := string(v.State) + ": " + v.Reason
			if len(went) == 0 || went[len(went)-1] != line {
				went = append(went, line)
			}
			if final = v; v.State.Final() {
				return went, final, f.asked
			}
		}
		if isLast {
			break
		}
	}
	return went, final, f.asked
}

func app(r recorded) Application {
	if r.Application == nil {
		return Application{}
	}
	return *r.Application
}

// states are the states of lines, each once in a row.
func states(lines []string) (all []gitops.RolloutState) {
	for _, l := range lines {
		state, _, _ := strings.Cut(l, ":")
		if len(all) == 0 || all[len(all)-1] != gitops.RolloutState(state) {
			all = append(all, gitops.RolloutState(state))
		}
	}
	return all
}
