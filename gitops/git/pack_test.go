package git

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// Fifty values that became longer, far apart, cost fifty values and not what is
// between them.
func TestADeltaOfManyChangesIsSmall(t *testing.T) {
	var base, target strings.Builder
	for n := range 5000 {
		tag := "none"
		if fmt.Fprintf(&base, "app-%04d: {tag: %s, image: registry.example/app-%04d}\n", n, tag, n); n%100 == 0 {
			tag = "main-1a2b3c4"
		}
		fmt.Fprintf(&target, "app-%04d: {tag: %s, image: registry.example/app-%04d}\n", n, tag, n)
	}
	delta := makeDelta(nil, []byte(base.String()), []byte(target.String()))
	budget := int64(math.MaxInt64)
	if got, err := applyDelta([]byte(base.String()), delta, &budget); err != nil || string(got) != target.String() {
		t.Fatalf("it does not make its target: %v", err)
	}
	if len(delta) > 50*64 {
		t.Errorf("%d bytes for 50 values", len(delta))
	}
}

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

// memory is where objects are found.
type memory map[Hash]Object

func (m memory) Object(name Hash) (Object, bool) {
	o, ok := m[name]
	return o, ok
}

func (m memory) put(k Kind, data []byte) Hash {
	o := Object{k, data}
	m[o.Name()] = o
	return o.Name()
}

// file is some text with a line that differs from file to file.
func file(n int, tag string) string {
	return fmt.Sprintf("# App %d\nreplicas: 2\nimage:\n  repository: registry.example/app-%d\n  tag: %s # set by the pipeline\nresources: {}\n", n, n, tag)
}

// treeOf makes a tree of entries that are sorted.
func treeOf(mode string, names []string, hashes []Hash) (data []byte) {
	for i, name := range names {
		data = append(data, mode+" "+name+"\x00"...)
		data = append(data, hashes[i][:]...)
	}
	return data
}

// testDirectory is a wide directory, and what it is made of.
func testDirectory(tb testing.TB, directories int) (*Directory, memory) {
	tb.Helper()
	m := make(memory)
	var names []string
	var hashes []Hash
	for i := range directories {
		content := m.put(KindBlob, []byte(file(i, "none")))
		names = append(names, fmt.Sprintf("app-%05d", i))
		hashes = append(hashes, m.put(KindTree, treeOf(ModeFile, []string{"values.yaml"}, []Hash{content})))
	}
	charts := m.put(KindTree, treeOf(ModeDirectory, names, hashes))
	root, err := NewDirectory(m.put(KindTree, treeOf(ModeDirectory, []string{"charts"}, []Hash{charts})), m, NewIndex(nil), 1<<40)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range directories {
		f, err := root.Find(path(i))
		if err != nil {
			tb.Fatal(err)
		}
		f.SetContent([]byte(file(i, "none")))
	}
	return root, m
}

func path(app int) []string { return []string{"charts", fmt.Sprintf("app-%05d", app), "values.yaml"} }

// testDraft is n updates of a wide directory, and all that there is afterwards.
func testDraft(tb testing.TB, directories, n int) (d *Draft, before, after memory) {
	tb.Helper()
	root, before := testDirectory(tb, directories)
	d, after = NewDraft(), maps.Clone(before)
	for i := range n {
		root = spliceOne(tb, d, root, i%directories, i)
		x := NewIndex(root)
		x.Object(Hash{})
		for name, made := range x.directories {
			after[name] = Object{KindTree, made.data}
		}
		for name := range x.files {
			after[name], _ = x.Object(name)
		}
	}
	return d, before, after
}

func spliceOne(tb testing.TB, d *Draft, root *Directory, app, n int) *Directory {
	root, err := root.Replace([]Change{{path(app), []byte(file(app, fmt.Sprintf("main-%07d", n)))}}, d)
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

func TestAPackIsReadBackAsItWasWritten(t *testing.T) {
	d, before, after := testDraft(t, 40, 200)
	repository := t.TempDir()
	for _, thin := range []bool{true, false} {
		var w PackWriter
		pack, err := w.Write(d, thin)
		if err != nil {
			t.Fatal(err)
		}
		outside := before.Object
		if !thin {
			outside = Nothing
		}
		got, err := readPack(t.Context(), bytes.NewReader(pack), outside, packLimits{bytes: maxInflatedBytes})
		if err != nil {
			t.Fatalf("thin %v: %v", thin, err)
		}
		for name, o := range after {
			back := got[name]
			if _, old := before[name]; !old && (back.Kind != o.Kind || !bytes.Equal(back.Data, o.Data)) {
				t.Fatalf("thin %v: object %s came back otherwise", thin, name)
			}
		}
		if len(got) != len(after)-len(before) {
			t.Errorf("thin %v: %d objects, want %d", thin, len(got), len(after)-len(before))
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
	d, _, _ := testDraft(t, 3, 200)
	for _, o := range d.objects {
		if o.chain > maxChain {
			t.Fatalf("a chain of %d", o.chain)
		}
	}
}

// A large directory that each of many commits changes is held a few times, not once
// for each.
func TestADraftHoldsWhatDiffers(t *testing.T) {
	root, _ := testDirectory(t, 2000)
	d := NewDraft()
	for i := range 200 {
		root = spliceOne(t, d, root, i, i)
	}
	if limit := 4 * len(root.below[0].directory.data); d.Size() > limit {
		t.Errorf("%d bytes are held, over %d", d.Size(), limit)
	}
}

// What goes back to what the server has is not sent again: it would be a delta of
// what is itself one of it.
func TestADraftDoesNotSendWhatTheServerHas(t *testing.T) {
	d := NewDraft()
	one, two := Object{KindBlob, []byte(file(1, "one"))}, Object{KindBlob, []byte(file(1, "two"))}
	second := d.Put(two, Base{one.Name(), one.Data})
	d.Put(one, Base{second, two.Data})
	d.Put(two, Base{one.Name(), one.Data})
	if len(d.objects) != 1 {
		t.Errorf("%d objects, want 1", len(d.objects))
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
	root, _ := testDirectory(b, 2000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		spliceOne(b, NewDraft(), root, n%2000, n)
	}
}

// The pack of 1 and of 100 updates in a directory of 2,000 apps.
func BenchmarkPackWriter(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d, _ := benchDraft(b, n)
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

func benchDraft(b *testing.B, n int) (*Draft, memory) {
	root, before := testDirectory(b, 2000)
	d := NewDraft()
	for i := range n {
		root = spliceOne(b, d, root, i%2000, i)
	}
	return d, before
}
