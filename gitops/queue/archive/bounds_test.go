package archive_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/archive"
)

// claiming is a backup of some 100 KiB whose first item says that it has 1 GiB, and goes
// on for so many bytes.
func claiming(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("tallyman backup 1 2026-03-01T12:00:00Z v1\n")
	compressed := gzip.NewWriter(&b)
	_, err := compressed.Write([]byte{0xfc, 0x3f, 0xff, 0xff, 0xff}) // a length, as gob writes it
	for zero := make([]byte, 1<<20); err == nil && size > 0; size -= len(zero) {
		_, err = compressed.Write(zero)
	}
	if err == nil {
		err = compressed.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAnItemIsBounded has a small backup that compresses well ask for all memory.
func TestAnItemIsBounded(t *testing.T) {
	text := claiming(t, 128<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := read(bytes.NewReader(text))
	runtime.ReadMemStats(&after)
	if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(gitops.PublicOf(err), "more than 32 MiB") {
		t.Errorf("%v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 256<<20 { // what gob throws away while its buffer grows is in it
		t.Errorf("it took %d MiB", took>>20)
	}
}

// TestAnEntryThatNobodyWouldReadIsNotWritten fails the backup instead of its restore.
func TestAnEntryThatNobodyWouldReadIsNotWritten(t *testing.T) {
	for _, c := range []struct {
		bytes int
		fails bool
	}{{16 << 20, false}, {33 << 20, true}} {
		d := gitops.Delivery{Body: make([]byte, c.bytes)}
		var b bytes.Buffer
		_, err := archive.Write(t.Context(), io.Writer(&b), info, each([]queue.Entry{{Delivery: &d}, {Delivery: &d}}))
		if (err != nil) != c.fails || c.fails && gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("an entry of %d MiB: %v", c.bytes>>20, err)
		}
		if err != nil {
			continue
		}
		if got, _, err := read(&b); err != nil || len(got) != 2 {
			t.Errorf("an entry of %d MiB: read %d, %v", c.bytes>>20, len(got), err)
		}
	}
}

// TestAnEntryThatNoStoreHas is in no backup that tallyman wrote: two things in one
// entry, of which a store would take one, and more updates than a delivery has numbers for.
func TestAnEntryThatNoStoreHas(t *testing.T) {
	for name, e := range map[string]queue.Entry{
		"nothing":          {},
		"two things":       {Checkpoint: &queue.Checkpoint{Name: "a"}, Memory: &queue.Memory{Delivery: "b"}},
		"too many updates": {Delivery: &gitops.Delivery{Updates: make([]gitops.Update, queue.MaxUpdates+1)}},
	} {
		var b bytes.Buffer
		_, err := archive.Write(t.Context(), &b, info, each([]queue.Entry{e}))
		if err == nil {
			_, _, err = read(&b)
		}
		if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(gitops.PublicOf(err), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGarbageIsCollectedOnTheWay writes and reads 100 MiB while the collector does nothing by
// itself, as on a machine that is busy.
func TestGarbageIsCollectedOnTheWay(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	most := func(held uint64) uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return max(held, m.HeapAlloc)
	}
	held := most(0)
	limit, written := held+64<<20, uint64(0)
	var b bytes.Buffer
	b.Grow(1 << 20)
	_, err := archive.Write(t.Context(), &b, info, func(yield func(queue.Entry, error) bool) {
		for n := range 100 {
			d := gitops.Delivery{ID: fmt.Sprint(n), Body: make([]byte, 1<<20)}
			if !yield(queue.Entry{Delivery: &d}, nil) {
				return
			}
			written = most(written)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	backup, err := archive.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	read := uint64(0)
	for _, err := range backup.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		read = most(read)
	}
	if written > limit || read > limit {
		t.Errorf("writing had %d MiB in the heap, reading %d, and %d before", written>>20, read>>20, held>>20)
	}
}
