package git

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

func TestADeltaMakesItsTarget(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	text := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('a' + random.IntN(3))
		}
		return b
	}
	for range 2000 {
		base := text(random.IntN(300))
		target := bytes.Clone(base)
		for range random.IntN(4) {
			at := random.IntN(len(target) + 1)
			end := min(len(target), at+random.IntN(20))
			insert := text(random.IntN(30))
			if random.IntN(2) == 0 {
				insert = text(end - at) // the length stays
			}
			target = bytes.Join([][]byte{target[:at], insert, target[end:]}, nil)
		}
		budget := int64(math.MaxInt64)
		got, err := applyDelta(base, makeDelta(nil, base, target), &budget)
		if err != nil || !bytes.Equal(got, target) {
			t.Fatalf("%q became %q (%v), want %q", base, got, err, target)
		}
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 3*maxCopy/16)
	target := bytes.Clone(big)
	target[2*maxCopy] = 'x'
	delta := makeDelta(nil, big, target)
	budget := int64(math.MaxInt64)
	if got, err := applyDelta(big, delta, &budget); err != nil || !bytes.Equal(got, target) {
		t.Fatalf("a large content: %v", err)
	}
	if len(delta) > 40 {
		t.Errorf("%d bytes for one that changed", len(delta))
	}
}

// memory is a store of objects.
type memory map[Hash]Object

func (m memory) Object(name Hash) (Object, bool) {
	o, ok := m[name]
	return o, ok
}

// file is some text with a line that differs from file to file.
func file(n int, tag string) string {
	return fmt.Sprintf("# App %d\nreplicas: 2\nimage:\n  repository: registry.example/app-%d\n  tag: %s # set by the pipeline\nresources: {}\n", n, n, tag)
}

// testDraft is n updates of a snapshot with a wide directory.
func testDraft(tb testing.TB, directories, n int) *Draft {
	tb.Helper()
	s := make(memory)
	seed := NewDraft(s)
	var root Hash
	var charts []byte
	for i := range directories {
		content := seed.Put(Object{KindBlob, []byte(file(i, "none"))}, Hash{})
		below, err := SetEntry(nil, "values.yaml", ModeFile, content)
		if err != nil {
			tb.Fatal(err)
		}
		charts = append(charts, fmt.Sprintf("40000 app-%05d\x00", i)...)
		name := seed.Put(Object{KindTree, below}, Hash{})
		charts = append(charts, name[:]...)
	}
	top, err := SetEntry(nil, "charts", ModeDirectory, seed.Put(Object{KindTree, charts}, Hash{}))
	if err != nil {
		tb.Fatal(err)
	}
	root = seed.Put(Object{KindTree, top}, Hash{})
	for name, o := range seed.objects {
		s[name] = o.Object
	}
	d := NewDraft(s)
	for i := range n {
		root = spliceOne(tb, d, root, i%directories, i)
	}
	return d
}

func spliceOne(tb testing.TB, d *Draft, root Hash, app, n int) Hash {
	names := []string{"charts", fmt.Sprintf("app-%05d", app), "values.yaml"}
	at, _, err := LookUp(d, root, names)
	if err != nil {
		tb.Fatal(err)
	}
	content := d.Put(Object{KindBlob, []byte(file(app, fmt.Sprintf("main-%07d", n)))}, at.Hash)
	if root, err = d.Replace(root, []Placed{{names, at.Mode, content}}); err != nil {
		tb.Fatal(err)
	}
	return root
}

func TestAPackIsReadBackAsItWasWritten(t *testing.T) {
	d := testDraft(t, 40, 200)
	repository := t.TempDir()
	for _, thin := range []bool{true, false} {
		var w PackWriter
		pack, err := w.Write(d, thin)
		if err != nil {
			t.Fatal(err)
		}
		outside := d.base.Object
		if !thin {
			outside = Nothing
		}
		got, err := readPack(t.Context(), bytes.NewReader(pack), outside, nil, maxInflatedBytes)
		if err != nil {
			t.Fatalf("thin %v: %v", thin, err)
		}
		for name, o := range d.objects {
			if back := got[name]; back.Kind != o.Kind || !bytes.Equal(back.Data, o.Data) {
				t.Fatalf("thin %v: object %s came back otherwise", thin, name)
			}
		}
		if thin {
			continue
		}
		for _, args := range [][]string{{"init", "--quiet", "--bare"}, {"index-pack", "--stdin"}} {
			command := exec.Command("git", args...)
			command.Dir = repository
			command.Stdin = bytes.NewReader(pack)
			if out, err := command.CombinedOutput(); err != nil {
				t.Fatalf("git %v: %v: %s", args, err, out)
			}
		}
	}
}

func TestNoChainOfDeltasIsLongerThanGits(t *testing.T) {
	d := testDraft(t, 3, 200)
	for _, o := range d.Order {
		if o.chain > maxChain {
			t.Fatalf("a chain of %d", o.chain)
		}
	}
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte("abc"), []byte("abd"))
	f.Add([]byte(""), []byte("x"))
	f.Add([]byte(strings.Repeat("abc", 100)), []byte(strings.Repeat("abc", 99)))
	f.Fuzz(func(t *testing.T, base, target []byte) {
		budget := int64(1 << 20)
		got, err := applyDelta(base, makeDelta(nil, base, target), &budget)
		if err != nil || !bytes.Equal(got, target) {
			t.Fatalf("%q to %q gave %q, %v", base, target, got, err)
		}
		_, _ = applyDelta(base, target, &budget) // must not panic
	})
}

// One update in a directory of 2,000 apps: the edit of the trees.
func BenchmarkSplice(b *testing.B) {
	d := testDraft(b, 2000, 1)
	var root Hash
	for _, o := range d.Order {
		if o.Kind == KindTree {
			root = o.Name
		}
	}
	base := make(memory)
	for name, o := range d.objects {
		base[name] = o.Object
	}
	for name, o := range d.base.(memory) {
		base[name] = o
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		spliceOne(b, NewDraft(base), root, n%2000, n)
	}
}

// The pack of 1 and of 100 updates in a directory of 2,000 apps.
func BenchmarkPackWriter(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := testDraft(b, 2000, n)
			var w PackWriter
			b.ReportAllocs()
			for b.Loop() {
				pack, err := w.Write(d, true)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(pack)), "bytes/pack")
			}
		})
	}
}
