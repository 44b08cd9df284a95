package values

// An edit of a large file would leave its whole text behind as garbage. So an open
// file writes the next text over one that is not needed any more.

// Keep says that the text, as the last edit returned it, must stay as it is until
// after the next Keep.
func (f *File) Keep() {
	before := f.kept
	f.kept = f.text
	f.release(before)
}

// release lets the next edit write over a text, unless that is still needed.
func (f *File) release(text []byte) {
	if len(text) > 0 && !sameText(text, f.source.text) && !sameText(text, f.kept) {
		f.spare = text
	}
}

// sameText reports whether two texts are in the same memory.
func sameText(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }
