package archive_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/archive"
)

var update = flag.Bool("update", false, "write testdata/1.backup anew: only while no version of the form is released")

var info = archive.Info{MadeAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Program: "v1.2.3"}

// filler gives every field a value of its own.
type filler struct{ next int }

func (f *filler) fill(v reflect.Value) {
	f.next++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d \xff\x00", f.next)) // as a sender may name anything
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.next))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(f.next % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.each(v, v.Len())
	case reflect.Array:
		f.each(v, v.Len())
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if _, isTime := v.Interface().(time.Time); isTime {
			v.Set(reflect.ValueOf(time.Date(2026, 3, 1, 12, 0, 0, f.next*1000, time.UTC)))
			return
		}
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	default:
		panic(fmt.Sprintf("a field is a %s", v.Type()))
	}
}

func (f *filler) each(v reflect.Value, n int) {
	for i := range n {
		f.fill(v.Index(i))
	}
}

// everything is one entry of each kind, in which no field is zero.
func everything() (entries []queue.Entry) {
	var f filler
	for i := range reflect.TypeFor[queue.Entry]().NumField() {
		var e queue.Entry
		f.fill(reflect.ValueOf(&e).Elem().Field(i))
		entries = append(entries, e)
	}
	return entries
}

func each(entries []queue.Entry) func(yield func(queue.Entry, error) bool) {
	return func(yield func(queue.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func write(t *testing.T, entries []queue.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := archive.Write(t.Context(), &b, info, each(entries)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(from io.Reader) (entries []queue.Entry, made archive.Info, err error) {
	r, err := archive.NewReader(from)
	if err != nil {
		return nil, archive.Info{}, err
	}
	for e, err := range r.Entries() {
		if err != nil {
			return nil, archive.Info{}, err
		}
		entries = append(entries, e)
	}
	return entries, r.Info, nil
}

// TestEveryFieldIsCarried fails for a field or a kind of entry that a backup loses.
func TestEveryFieldIsCarried(t *testing.T) {
	want := everything()
	got, made, err := read(iotest.OneByteReader(bytes.NewReader(write(t, want))))
	if err != nil || made != info {
		t.Fatalf("%+v, %v", made, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
	if got, _, err := read(bytes.NewReader(write(t, nil))); err != nil || len(got) != 0 {
		t.Errorf("an empty store: %+v, %v", got, err)
	}
}

// TestABackupOfTheFirstVersion is read by every later program: this file is never
// written anew once a version is released.
func TestABackupOfTheFirstVersion(t *testing.T) {
	const file = "testdata/1.backup"
	if *update {
		if err := os.WriteFile(file, write(t, everything()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everything(), got); diff != "" {
		t.Errorf("the backup has -, and what is read +: %s", diff)
	}
}

// TestDamageIsFound cuts a backup off, changes its bytes, and lets it go on: what is read is an error, or, where the byte says nothing, what was written.
func TestDamageIsFound(t *testing.T) {
	want := everything()
	whole := write(t, want)
	refused := func(name string, b []byte) {
		t.Helper()
		if got, _, err := read(bytes.NewReader(b)); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%s: %d entries, %v", name, len(got), err)
		}
	}
	for n := 0; n < len(whole); n += 1 + n/100 { // the beginning byte by byte: what is behind it is all alike
		refused(fmt.Sprintf("cut off after %d bytes", n), whole[:n])
		damaged := bytes.Clone(whole)
		damaged[n] ^= 1 << (n % 8)
		got, made, err := read(bytes.NewReader(damaged))
		if err == nil && (made != info || !cmp.Equal(want, got)) {
			t.Errorf("with byte %d changed another backup is read", n)
		}
		if err != nil && gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("with byte %d changed: %v", n, err)
		}
	}
	refused("cut off before its last byte", whole[:len(whole)-1])
	refused("with a byte behind it", append(bytes.Clone(whole), 0))
	refused("twice", append(bytes.Clone(whole), whole...))
	if _, _, err := read(strings.NewReader("tallyman backup 2 2026-03-01T12:00:00Z v2\n")); err == nil || !strings.Contains(gitops.PublicOf(err), "a newer tallyman") {
		t.Errorf("of a newer program: %v", err)
	}
	for _, other := range []string{"", "SQLite format 3\x00", strings.Repeat("x", 10_000)} {
		if _, _, err := read(strings.NewReader(other)); err == nil || !strings.Contains(gitops.PublicOf(err), "not a backup of tallyman") {
			t.Errorf("%.20q: %v", other, err)
		}
	}
}

// limited takes so many bytes.
type limited struct{ left int }

var errFull = errors.New("no room")

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errFull
	}
	l.left -= len(p)
	return len(p), nil
}

// TestATargetThatFails fails the backup, whichever write it is that fails.
func TestATargetThatFails(t *testing.T) {
	entries := everything()
	for n := 0; n < len(write(t, entries)); n += 50 {
		_, err := archive.Write(t.Context(), &limited{n}, info, each(entries))
		if gitops.CodeOf(err) != gitops.Unavailable || !errors.Is(err, errFull) {
			t.Fatalf("with room for %d bytes: %v", n, err)
		}
	}
	gone := errors.New("the store is gone")
	failing := func(yield func(queue.Entry, error) bool) { yield(queue.Entry{}, gone) }
	if _, err := archive.Write(t.Context(), io.Discard, info, failing); !errors.Is(err, gone) {
		t.Errorf("a store that fails: %v", err)
	}
}
