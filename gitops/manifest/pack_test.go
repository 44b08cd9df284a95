package manifest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
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

// testDraft is n updates of a snapshot with a wide directory.
func testDraft(tb testing.TB, directories, n int) *draft {
	tb.Helper()
	s := &snapshot{objects: make(map[hash]object)}
	seed := newDraft(s)
	var root hash
	var charts []byte
	for i := range directories {
		content := seed.put(object{kindBlob, []byte(valuesFile(fmt.Sprint(i), "dev", "none"))}, hash{})
		below, err := setEntry(nil, "values.yaml", modeFile, content)
		if err != nil {
			tb.Fatal(err)
		}
		charts = append(charts, fmt.Sprintf("40000 app-%05d\x00", i)...)
		name := seed.put(object{kindTree, below}, hash{})
		charts = append(charts, name[:]...)
	}
	top, err := setEntry(nil, "charts", modeDirectory, seed.put(object{kindTree, charts}, hash{}))
	if err != nil {
		tb.Fatal(err)
	}
	root = seed.put(object{kindTree, top}, hash{})
	for name, o := range seed.objects {
		s.add(name, o.object)
	}
	d := newDraft(s)
	for i := range n {
		root = spliceOne(tb, d, root, i%directories, i)
	}
	return d
}

func spliceOne(tb testing.TB, d *draft, root hash, app, n int) hash {
	names := []string{"charts", fmt.Sprintf("app-%05d", app), "values.yaml"}
	at, _, err := lookUp(d, root, names)
	if err != nil {
		tb.Fatal(err)
	}
	content := d.put(object{kindBlob, []byte(valuesFile(fmt.Sprint(app), "dev", fmt.Sprintf("main-%07d", n)))}, at.hash)
	if root, err = d.replace(root, []placed{{names, at.mode, content}}); err != nil {
		tb.Fatal(err)
	}
	return root
}

func TestAPackIsReadBackAsItWasWritten(t *testing.T) {
	d := testDraft(t, 40, 200)
	repository := t.TempDir()
	for _, thin := range []bool{true, false} {
		var w packWriter
		pack, err := w.write(d, thin)
		if err != nil {
			t.Fatal(err)
		}
		outside := d.base.object
		if !thin {
			outside = func(hash) (object, bool) { return object{}, false }
		}
		got, err := readPack(pack, outside, maxInflatedBytes)
		if err != nil {
			t.Fatalf("thin %v: %v", thin, err)
		}
		for name, o := range d.objects {
			if back := got[name]; back.kind != o.kind || !bytes.Equal(back.data, o.data) {
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
	for _, o := range d.order {
		if o.chain > maxChain {
			t.Fatalf("a chain of %d", o.chain)
		}
	}
}

// rawPack makes a pack of entries that are given as they stand there.
func rawPack(count int, entries ...[]byte) []byte {
	pack := []byte("PACK\x00\x00\x00\x02")
	pack = binary.BigEndian.AppendUint32(pack, uint32(count))
	pack = append(pack, bytes.Join(entries, nil)...)
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

func rawEntry(k kind, size int, before, data []byte) []byte {
	var w packWriter
	w.header(k, size)
	w.out.Write(before)
	z := zlib.NewWriter(&w.out)
	_, _ = z.Write(data) // to memory
	_ = z.Close()
	return bytes.Clone(w.out.Bytes())
}

func TestAHostilePackIsRefused(t *testing.T) {
	zeros := make([]byte, 10<<20)
	blob := rawEntry(kindBlob, 3, nil, []byte("abc"))
	huge := makeDelta(nil, nil, nil)[:0]
	huge = binary.AppendUvarint(huge, 3)
	huge = binary.AppendUvarint(huge, 1<<40)
	far := []byte{0x80 | 0x01 | 0x10, 0xff, 0xff}
	tests := map[string][]byte{
		"a bomb":                         rawPack(1, rawEntry(kindBlob, len(zeros), nil, zeros)),
		"a size that lies low":           rawPack(1, rawEntry(kindBlob, 3, nil, zeros)),
		"a size that lies high":          rawPack(1, rawEntry(kindBlob, 1000, nil, []byte("abc"))),
		"a size beyond all memory":       rawPack(1, rawEntry(kindBlob, math.MaxInt64, nil, []byte("abc"))),
		"a delta that makes a terabyte":  rawPack(2, blob, rawEntry(kindOfsDelta, len(huge), []byte{byte(len(blob))}, huge)),
		"a delta of nothing there":       rawPack(1, rawEntry(kindRefDelta, 4, make([]byte, 20), []byte{3, 1, 1, 'x'})),
		"a delta before the pack":        rawPack(1, rawEntry(kindOfsDelta, 4, []byte{0x7f}, []byte{3, 1, 1, 'x'})),
		"a delta that copies beyond":     rawPack(2, blob, rawEntry(kindOfsDelta, 2+len(far), []byte{byte(len(blob))}, append([]byte{3, 3}, far...))),
		"a delta that ends in a command": rawPack(2, blob, rawEntry(kindOfsDelta, 3, []byte{byte(len(blob))}, []byte{3, 3, 0xff})),
		"a delta with the reserved op":   rawPack(2, blob, rawEntry(kindOfsDelta, 3, []byte{byte(len(blob))}, []byte{3, 0, 0})),
		"an object of no type":           rawPack(1, rawEntry(5, 3, nil, []byte("abc"))),
		"fewer objects than it says":     rawPack(9, blob),
		"four billion objects":           rawPack(math.MaxUint32, blob),
		"more than it says":              rawPack(1, blob, blob),
		"another version":                append([]byte("PACK\x00\x00\x00\x09\x00\x00\x00\x00"), make([]byte, 20)...),
		"no pack":                        []byte(strings.Repeat("x", 100)),
		"nothing":                        nil,
	}
	none := func(hash) (object, bool) { return object{}, false }
	for name, pack := range tests {
		if _, err := readPack(pack, none, 1<<20); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := readPack(rawPack(1, blob), none, 1<<20); err != nil {
		t.Errorf("a good pack was refused: %v", err)
	}
}

// A delta may come before the object it is against.
func TestDeltasAreResolvedInAnyOrder(t *testing.T) {
	base := object{kindBlob, []byte("abc")}
	name := base.name()
	delta := makeDelta(nil, base.data, []byte("abcd"))
	pack := rawPack(2, rawEntry(kindRefDelta, len(delta), name[:], delta), rawEntry(kindBlob, 3, nil, base.data))
	got, err := readPack(pack, func(hash) (object, bool) { return object{}, false }, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := object{kindBlob, []byte("abcd")}
	if o := got[want.name()]; string(o.data) != "abcd" || o.kind != kindBlob {
		t.Errorf("got %v", got)
	}
}

func FuzzReadPack(f *testing.F) {
	d := testDraft(f, 3, 4)
	var w packWriter
	for _, thin := range []bool{true, false} {
		pack, err := w.write(d, thin)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(pack[:len(pack)-sha1.Size]))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha1.Sum(body)
		objects, err := readPack(append(body, sum[:]...), d.base.object, 1<<20)
		if err != nil {
			return
		}
		for name, o := range objects {
			if o.name() != name {
				t.Fatalf("%s is called %s", o.name(), name)
			}
		}
	})
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
	var root hash
	for _, o := range d.order {
		if o.kind == kindTree {
			root = o.name
		}
	}
	base := &snapshot{objects: make(map[hash]object)}
	if err := base.reach(root, d.object); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		spliceOne(b, newDraft(base), root, n%2000, n)
	}
}

// The pack of 1 and of 100 updates in a directory of 2,000 apps.
func BenchmarkPackWriter(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := testDraft(b, 2000, n)
			var w packWriter
			b.ReportAllocs()
			for b.Loop() {
				pack, err := w.write(d, true)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(pack)), "bytes/pack")
			}
		})
	}
}

// A pack of 2,000 updates in a directory of 2,000 apps.
func BenchmarkPackReader(b *testing.B) {
	d := testDraft(b, 2000, 2000)
	var w packWriter
	pack, err := w.write(d, true)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(pack)))
	for b.Loop() {
		if _, err := readPack(pack, d.base.object, maxInflatedBytes); err != nil {
			b.Fatal(err)
		}
	}
}
