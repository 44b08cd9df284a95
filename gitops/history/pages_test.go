package history

import "testing"

// What is held at once fits into the memory, and there is room for both files of a
// change.
func TestBoundsFitTheMemory(t *testing.T) {
	const file = 5 << 20
	for _, memory := range []int64{LeastMemory(file), 48 << 20, 1 << 30} {
		b := boundsOf(memory, file)
		if held := b.page + 2*int64(b.commits); held > memory || b.page < 2*file || b.files < 2 {
			t.Errorf("of %d bytes %d are held: %+v", memory, held, b)
		}
	}
	if b := (Limits{Memory: func() int64 { return 1 }, FileBytes: file}).bounds(); b != boundsOf(LeastMemory(file), file) {
		t.Errorf("%+v", b)
	}
}
