package manifest

import "github.com/tallyman-dev/tallyman/gitops"

// TagReader is an [Editor] that can tell which tag a file has, as [*values.Edit] can.
type TagReader interface {
	ReadTag(file []byte) (string, error)
}

// lowerThan is why an update that only goes up would lower the version that its file has
// by now, or "": the store does not know what a person wrote. A file without a version
// decides nothing here, and what is wrong with it is the edit's to say.
func (f *edited) lowerThan(to FileEdit, u gitops.Update) string {
	if !u.OnlyUp {
		return ""
	}
	tag := f.tag(to)
	if !gitops.LowerVersion(u.Tag, tag) {
		return ""
	}
	return gitops.LowerThan(u, tag, "is in "+to.File)
}

// tag is the one that the file has by now, "" when none can be read.
func (f *edited) tag(to FileEdit) (tag string) {
	if edit, ok := f.together(to.Editor); ok { // it is parsed for its edits, and not once more
		if parsed, err := f.open(edit); err == nil {
			tag, _ = parsed.Tag(edit)
		}
	} else if reader, ok := to.Editor.(TagReader); ok {
		tag, _ = reader.ReadTag(f.content)
	}
	return tag
}
