package manifest

import (
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// TagReader is an [Editor] that can tell which tag a file has. Without it, an update
// that only goes up is not compared with its file.
type TagReader interface {
	ReadTag(file []byte) (string, error)
}

var _ TagReader = (*values.Edit)(nil)

// lowerVersion ends an update that would lower the version that its file has.
type lowerVersion struct{ reason string }

func (l lowerVersion) Error() string { return l.reason }

// checkVersion fails with a lowerVersion when an update that only goes up is lower than
// what its file has by now. The store compared it with what it knows; it does not know
// what a person wrote. A file that holds no version decides nothing here.
func (f *edited) checkVersion(to Target, alone bool, u gitops.Update) error {
	reader, ok := to.Editor.(TagReader)
	if !u.OnlyUp || !ok {
		return nil
	}
	tag, err := f.tag(reader, alone)
	if err != nil || !gitops.LowerVersion(u.Tag, tag) {
		return nil // what is wrong with the file is the edit's to say
	}
	return lowerVersion{gitops.LowerThan(u, tag, "is in "+to.File)}
}

// tag reads the tag. A file that is parsed for its edits is not parsed once more.
func (f *edited) tag(reader TagReader, alone bool) (string, error) {
	edit, ok := reader.(*values.Edit)
	if !ok || alone || f.suspect {
		return reader.ReadTag(f.content)
	}
	parsed, err := f.open()
	if err != nil {
		return "", err
	}
	return parsed.Tag(edit)
}
