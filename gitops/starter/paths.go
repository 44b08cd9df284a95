package starter

import (
	"cmp"
	"hash/fnv"
	"path"
	"slices"
	"strings"
	"unicode"
)

// Bounds on what is read of a repository. A file may be as large as tallyman edits one
// unless it is told otherwise.
const (
	MaxFiles     = 4_000
	MaxFileBytes = 1 << 20
)

// skippedDirectories hold no files that an update changes.
var skippedDirectories = []string{"templates", "crds", "node_modules", "vendor", "testdata", "tests", "docs", "dashboards"}

// skippedFiles are YAML and JSON of other kinds.
var skippedFiles = []string{
	"chart.yaml", "chart.lock", "package.json", "package-lock.json", "values.schema.json", "renovate.json", "tsconfig.json", "cdk8s.yaml",
	"codecov.yml", "skaffold.yaml", "helmfile.yaml", "mkdocs.yml", "gotk-components.yaml",
}

// Files returns those of a tree's files whose contents tell where images are, in the
// order of their paths, at most [MaxFiles]; and how many others there are of the kind.
// Where there are more, some of each directory are taken, as their names' hashes fall.
func Files(paths []string) (files []string, left int) {
	var named, others []string
	for _, p := range paths {
		switch {
		case !mayHoldImages(p) || !isPlain(p):
		case hasEnvironment(p):
			named = append(named, p)
		default:
			others = append(others, p)
		}
	}
	all := len(named) + len(others)
	files = sampled(named, MaxFiles)
	files = append(files, sampled(others, MaxFiles-len(files))...)
	slices.Sort(files)
	return files, all - len(files)
}

// isPlain reports whether a path can stand in a pattern as it is.
func isPlain(p string) bool {
	return !strings.ContainsAny(p, "{}*\\") && !strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsPrint(r) })
}

func mayHoldImages(p string) bool {
	switch path.Ext(p) {
	case ".yaml", ".yml", ".json":
	default:
		return false
	}
	segments := strings.Split(p, "/")
	for _, directory := range segments[:len(segments)-1] {
		if strings.HasPrefix(directory, ".") || slices.Contains(skippedDirectories, directory) {
			return false
		}
	}
	file := segments[len(segments)-1]
	return !strings.HasPrefix(file, ".") && !slices.Contains(skippedFiles, strings.ToLower(file)) && !strings.Contains(file, ".schema.")
}

func hasEnvironment(p string) bool {
	_, ok := environmentOfPath(strings.Split(p, "/"))
	return ok
}

// sampled returns some of the paths, the same ones each time.
func sampled(paths []string, most int) []string {
	if len(paths) <= most {
		return paths
	}
	type hashed struct {
		path string
		hash uint64
	}
	all := make([]hashed, len(paths))
	for i, p := range paths {
		h := fnv.New64a()
		h.Write([]byte(p))
		all[i] = hashed{p, h.Sum64()}
	}
	slices.SortFunc(all, func(a, b hashed) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.path, b.path)) })
	some := make([]string, most)
	for i := range some {
		some[i] = all[i].path
	}
	return some
}

// place is where in a path an environment stands.
type place struct {
	segment int
	part
}

// environmentOfPath finds the environment that a path names: best in the file's name,
// then below a directory such as overlays, then the deepest directory that is called as
// one.
func environmentOfPath(segments []string) (place, bool) {
	last := len(segments) - 1
	stem := strings.TrimSuffix(segments[last], path.Ext(segments[last]))
	if p, ok := environmentIn(stem); ok && !(p.before == "" && p.after == "" && last > 0 && hasNamedDirectory(segments[:last])) {
		p.after += path.Ext(segments[last])
		return place{last, p}, true
	}
	for i := last - 1; i > 0; i-- {
		if slices.Contains(envParents, strings.ToLower(segments[i-1])) {
			if isNoEnvironment(segments[i]) {
				return place{}, false
			}
			return place{i, part{name: segments[i]}}, true
		}
	}
	for i := last - 1; i >= 0; i-- {
		if isNoEnvironment(segments[i]) && i > 0 {
			continue
		}
		if p, ok := environmentIn(segments[i]); ok {
			return place{i, p}, true
		}
	}
	return place{}, false
}

// hasNamedDirectory reports whether a directory is called as an environment, so that a
// file of such a name is more likely an app's.
func hasNamedDirectory(directories []string) bool {
	return slices.ContainsFunc(directories, func(name string) bool { return stageOf(name) >= 0 })
}
