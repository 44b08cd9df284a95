package git

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

// rawPack makes a pack of entries that are given as they stand there.
func rawPack(count int, entries ...[]byte) []byte {
	pack := []byte("PACK\x00\x00\x00\x02")
	pack = binary.BigEndian.AppendUint32(pack, uint32(count))
	pack = append(pack, bytes.Join(entries, nil)...)
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

func rawEntry(k Kind, size int, before, data []byte) []byte {
	var w PackWriter
	w.header(k, size)
	w.out.Write(before)
	z := zlib.NewWriter(&w.out)
	_, _ = z.Write(data) // to memory
	_ = z.Close()
	return bytes.Clone(w.out.Bytes())
}

func TestAHostilePackIsRefused(t *testing.T) {
	zeros := make([]byte, 10<<20)
	blob := rawEntry(KindBlob, 3, nil, []byte("abc"))
	huge := makeDelta(nil, nil, nil)[:0]
	huge = binary.AppendUvarint(huge, 3)
	huge = binary.AppendUvarint(huge, 1<<40)
	far := []byte{0x80 | 0x01 | 0x10, 0xff, 0xff}
	tests := map[string][]byte{
		"a bomb":                         rawPack(1, rawEntry(KindBlob, len(zeros), nil, zeros)),
		"a size that lies low":           rawPack(1, rawEntry(KindBlob, 3, nil, zeros)),
		"a size that lies high":          rawPack(1, rawEntry(KindBlob, 1000, nil, []byte("abc"))),
		"a size beyond all memory":       rawPack(1, rawEntry(KindBlob, math.MaxInt64, nil, []byte("abc"))),
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
	for name, pack := range tests {
		if _, err := readPack(t.Context(), bytes.NewReader(pack), Nothing, packLimits{bytes: 1 << 20}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := readPack(t.Context(), bytes.NewReader(rawPack(1, blob)), Nothing, packLimits{bytes: 1 << 20}); err != nil {
		t.Errorf("a good pack was refused: %v", err)
	}
}

// A delta may come before the object it is against.
func TestDeltasAreResolvedInAnyOrder(t *testing.T) {
	base := Object{KindBlob, []byte("abc")}
	name := base.Name()
	delta := makeDelta(nil, base.Data, []byte("abcd"))
	pack := rawPack(2, rawEntry(kindRefDelta, len(delta), name[:], delta), rawEntry(KindBlob, 3, nil, base.Data))
	got, err := readPack(t.Context(), bytes.NewReader(pack), Nothing, packLimits{bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	want := Object{KindBlob, []byte("abcd")}
	if o := got[want.Name()]; string(o.Data) != "abcd" || o.Kind != KindBlob {
		t.Errorf("got %v", got)
	}
}

func FuzzReadPack(f *testing.F) {
	d, before, _ := testDraft(f, 3, 4)
	var w PackWriter
	for _, thin := range []bool{true, false} {
		pack, err := w.Write(d, thin)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(pack[:len(pack)-sha1.Size]))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha1.Sum(body)
		pack := append(body, sum[:]...)
		some, err := readPack(t.Context(), bytes.NewReader(pack), before.Object, packLimits{keeps: WithoutBlobs, bytes: 1 << 20, file: 10})
		if err == nil && slices.ContainsFunc(slices.Collect(maps.Values(some)), func(o Object) bool { return o.Kind == KindBlob }) {
			t.Error("a file was kept")
		}
		objects, err := readPack(t.Context(), bytes.NewReader(pack), before.Object, packLimits{bytes: 1 << 20})
		if err != nil {
			return
		}
		for name, o := range objects {
			if o.Name() != name {
				t.Fatalf("%s is called %s", o.Name(), name)
			}
		}
	})
}

// A pack of 2,000 updates in a directory of 2,000 apps.
func BenchmarkPackReader(b *testing.B) {
	d, before := benchDraft(b, 2000)
	var w PackWriter
	pack, err := w.Write(d, true)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(pack)))
	for b.Loop() {
		if _, err := readPack(b.Context(), bytes.NewReader(pack), before.Object, packLimits{bytes: maxInflatedBytes}); err != nil {
			b.Fatal(err)
		}
	}
}

// reversed is a chain of n deltas, each of which comes before its base. Every
// content ends in its number.
func reversed(n int) (pack []byte, last Hash) {
	content := func(i int) []byte { return fmt.Appendf(nil, "tag: %08d\n", i) }
	first := Object{KindBlob, content(0)}
	entries := [][]byte{rawEntry(KindBlob, len(first.Data), nil, first.Data)}
	base := first
	var w PackWriter // one, as making one takes longer than all the rest
	for i := 1; i <= n; i++ {
		name, delta := base.Name(), makeDelta(nil, base.Data, content(i))
		w.out.Reset()
		w.header(kindRefDelta, len(delta))
		w.out.Write(name[:])
		_ = w.deflate(delta) // to memory
		entries = append(entries, bytes.Clone(w.out.Bytes()))
		base = Object{KindBlob, content(i)}
	}
	slices.Reverse(entries)
	return rawPack(len(entries), entries...), base.Name()
}

// However deltas are ordered, each is looked at once: a pack of 890 KiB must not
// take half a minute.
func TestAReversedChainOfDeltasTakesLinearWork(t *testing.T) {
	const n = 21_000
	pack, last := reversed(n)
	asked := 0
	outside := func(Hash) (Object, bool) { asked++; return Object{}, false }
	objects, err := readPack(t.Context(), bytes.NewReader(pack), outside, packLimits{bytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := objects[last]; !ok || len(objects) != n+1 {
		t.Errorf("%d objects of a pack of %d bytes", len(objects), len(pack))
	}
	if len(pack) < 890<<10 {
		t.Errorf("the pack has %d bytes, want 890 KiB at least", len(pack))
	}
	if asked > n {
		t.Errorf("%d deltas took %d looks for a base", n, asked)
	}
}

func TestReadingAPackEndsWithItsContext(t *testing.T) {
	pack, _ := reversed(1000)
	for _, at := range []int{0, 10, 1000} { // before, while deltas come, and while they are resolved
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		outside := func(Hash) (Object, bool) {
			if asked++; asked >= at {
				cancel()
			}
			return Object{}, false
		}
		if at == 0 {
			cancel()
		}
		if _, err := readPack(ctx, bytes.NewReader(pack), outside, packLimits{bytes: 16 << 20}); !errors.Is(err, context.Canceled) || asked > at {
			t.Errorf("after %d: %v, want canceled", asked, err)
		}
		cancel()
	}
}

// Of a pack of which only commits are kept, neither files nor trees take memory,
// also where they are bases of one another.
func TestKindsThatAreNotKeptTakeNoMemory(t *testing.T) {
	large := Object{KindBlob, bytes.Repeat([]byte("replicas: 2\n"), 100_000)}
	delta := makeDelta(nil, large.Data, append(bytes.Clone(large.Data), 'x'))
	first := Object{KindCommit, []byte("tree " + strings.Repeat("0", 39) + "1\n\nfirst")}
	second := Object{KindCommit, []byte("tree " + strings.Repeat("0", 39) + "1\n\nsecond")}
	third := Object{KindCommit, []byte("tree " + strings.Repeat("0", 39) + "1\n\nthird")}
	held := Object{KindTree, []byte("100644 a\x00aaaaaaaaaaaaaaaaaaaa")}
	byName := func(base Object, delta []byte) []byte {
		name := base.Name()
		return rawEntry(kindRefDelta, len(delta), name[:], delta)
	}
	blob := rawEntry(KindBlob, len(large.Data), nil, large.Data)
	pack := rawPack(7,
		byName(second, makeDelta(nil, second.Data, third.Data)),
		blob,
		rawEntry(kindOfsDelta, len(delta), distance(len(blob)), delta),
		byName(large, delta),
		byName(held, makeDelta(nil, held.Data, held.Data)),
		rawEntry(KindCommit, len(first.Data), nil, first.Data),
		byName(first, makeDelta(nil, first.Data, second.Data)),
	)
	outside := func(name Hash) (Object, bool) { return held, name == held.Name() }
	objects, err := readPack(t.Context(), bytes.NewReader(pack), outside, packLimits{keeps: OnlyCommits, bytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Object{first, second, third} {
		if o := objects[c.Name()]; !bytes.Equal(o.Data, c.Data) {
			t.Errorf("%q came back as %q", c.Data, o.Data)
		}
	}
	if len(objects) != 3 {
		t.Errorf("%d objects were kept, want 3", len(objects))
	}
}

// distance is how a pack says how far before a delta its base begins.
func distance(n int) []byte {
	out := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		out = append([]byte{0x80 | byte(n&0x7f)}, out...)
	}
	return out
}

// Of a file that is too large no more memory is taken than shows that, whatever
// stands on it.
func TestFilesThatAreTooLargeAreCut(t *testing.T) {
	const limit = 4 << 10
	large := Object{KindBlob, make([]byte, 8<<20)}
	small := Object{KindBlob, bytes.Repeat([]byte("a"), limit)}
	tree := Object{KindTree, bytes.Repeat([]byte("100644 a\x00aaaaaaaaaaaaaaaaaaaa"), 1000)}
	other := append(bytes.Clone(small.Data[1:]), 'b')
	grown := makeDelta(nil, small.Data, append(bytes.Clone(small.Data), 'b'))
	changed := makeDelta(nil, small.Data, other)
	onLarge := makeDelta(nil, large.Data, large.Data[1:])
	byName := func(base Object, delta []byte) []byte {
		name := base.Name()
		return rawEntry(kindRefDelta, len(delta), name[:], delta)
	}
	largeEntry, onLargeEntry := rawEntry(KindBlob, len(large.Data), nil, large.Data), byName(large, onLarge)
	waits := byName(small, grown)
	pack := rawPack(9,
		byName(large, onLarge), waits,
		rawEntry(kindOfsDelta, len(onLarge), distance(len(waits)), onLarge), // on what waits
		largeEntry, onLargeEntry,
		rawEntry(kindOfsDelta, len(onLarge), distance(len(onLargeEntry)+len(largeEntry)), onLarge),
		rawEntry(KindTree, len(tree.Data), nil, tree.Data), // a tree may be large
		rawEntry(KindBlob, len(small.Data), nil, small.Data),
		byName(small, changed),
	)
	objects, err := readPack(t.Context(), bytes.NewReader(pack), Nothing, packLimits{bytes: 64 << 10, file: limit})
	if err != nil {
		t.Fatal(err)
	}
	for name, size := range map[Hash]int{
		large.Name(): limit + 1, small.Name(): limit, tree.Name(): len(tree.Data), (Object{KindBlob, other}).Name(): limit,
	} {
		if o, ok := objects[name]; !ok || len(o.Data) != size {
			t.Errorf("%s has %d bytes, want %d", name, len(o.Data), size)
		}
		delete(objects, name)
	}
	if len(objects) != 0 {
		t.Errorf("%d more objects were kept", len(objects))
	}
	if _, err := readPack(t.Context(), bytes.NewReader(pack), Nothing, packLimits{bytes: 64 << 10}); !errors.Is(err, errTooMuch) {
		t.Errorf("without a limit for files: %v, want %v", err, errTooMuch)
	}
}
