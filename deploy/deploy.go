// Package deploy has what users apply around the service. Most of it is not for
// the program; this is the part that it reads itself.
package deploy

import (
	"embed"
	"io/fs"
)

// The prefix all: takes in .github and templates/_pod.tpl, too.
//
//go:embed all:manifests-example
var files embed.FS

// Manifests returns the files of the sample manifest repository by their paths in
// it.
func Manifests() (map[string]string, error) {
	manifests := make(map[string]string)
	root, err := fs.Sub(files, "manifests-example")
	if err != nil {
		return nil, err
	}
	return manifests, fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		manifests[path] = string(text)
		return err
	})
}
