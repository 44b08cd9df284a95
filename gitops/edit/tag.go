package edit

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

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

// ReadTag reads the tag out of a file of a kind, once the guard takes it.
func (c Config) ReadTag(ctx context.Context, reader TagReader, o gitops.ParsedObject, content []byte) (string, error) {
	leave, err := c.Guard.Enter(ctx, o, values.Measure(content).Cost(), true)
	if err != nil {
		return "", err
	}
	defer leave()
	return reader.ReadTag(content)
}

// ReadPast reads the tag out of the file at a path as it was once.
func (c Config) ReadPast(path string, reader TagReader) func(ctx context.Context, object string, content []byte) (string, error) {
	return func(ctx context.Context, object string, content []byte) (string, error) {
		return c.ReadTag(ctx, reader, gitops.ParsedObject{Object: object, Kind: gitops.ParsedPast, Path: path}, content)
	}
}
