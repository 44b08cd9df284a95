package history

import "testing"

// What is held at once fits into the memory, and there is room for both files of a
// change.
func TestBoundsFitTheMemory(t *testing.T) {
	for _, memory := range []int64{LeastMemory, 48 << 20, 1 << 30} {
		b := boundsOf(memory)
		if held := b.page + 2*int64(b.commits); held > memory || b.page < 2*maxFileBytes || b.files < 2 {
			t.Errorf("of %d bytes %d are held: %+v", memory, held, b)
		}
	}
	if r := New(nil, "main", prover, 1); r.bounds != boundsOf(LeastMemory) {
		t.Errorf("%+v", r.bounds)
	}
}
