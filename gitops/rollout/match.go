package rollout

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Manifest is a file of a manifest repository.
type Manifest struct {
	Repository string // URL, in any form of git
	Branch     string // without refs/heads/
	File       string // slash-separated, from the root of the repository
}

// Match returns the positions of the sources of an Application that read a manifest: they have
// its repository and branch, and the file is among theirs. A source that others name by its ref
// counts, so there may be several. If there is no such source, near says what comes close, for
// example that the file is read at a fixed revision; it is "" if nothing does.
func Match(app Application, m Manifest) (sources []int, near string) {
	if makesApplications(app.Status.Resources) {
		return nil, ""
	}
	if h := app.Spec.SourceHydrator; h != nil {
		if sameRepository(h.DrySource.RepoURL, m.Repository) && reads(h.DrySource, "", m.File) {
			near = "what is synced is rendered to another branch by the source hydrator, which is not followed"
		}
		return nil, near
	}
	all := app.Spec.Sources
	if len(all) == 0 && app.Spec.Source != nil {
		all = []Source{*app.Spec.Source}
	}
	for i, s := range all {
		if s.Chart != "" || !sameRepository(s.RepoURL, m.Repository) || !isRead(app, all, i, m.File) {
			continue
		}
		if why := otherRevision(s.TargetRevision, m.Branch); why != "" {
			near = why
			continue
		}
		sources = append(sources, i)
	}
	if len(sources) > 0 {
		near = ""
	}
	return sources, near
}

// makesApplications reports whether an Application only creates other Applications. Its files
// may be in the same directories, and the others are to be followed.
func makesApplications(all []Resource) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(r Resource) bool {
		return r.Group != "argoproj.io" || r.Kind != "Application" && r.Kind != "ApplicationSet" && r.Kind != "AppProject"
	})
}

// isRead reports whether source i reads a file of its repository, or another source does by
// the ref of source i.
func isRead(app Application, all []Source, i int, file string) bool {
	kind := app.Status.SourceType
	if i < len(app.Status.SourceTypes) {
		kind = app.Status.SourceTypes[i]
	}
	if s := all[i]; (s.Path != "" || s.Ref == "") && reads(s, kind, file) {
		return true
	}
	if all[i].Ref == "" {
		return false
	}
	for _, s := range all {
		for _, named := range s.valueFiles() {
			if rest, ok := strings.CutPrefix(named, "$"+all[i].Ref+"/"); ok && isNamed("", rest, file) {
				return true
			}
		}
	}
	return false
}

// valueFiles are the files that a source names by itself.
func (s Source) valueFiles() (names []string) {
	if s.Helm == nil {
		return nil
	}
	names = slices.Clone(s.Helm.ValueFiles)
	for _, p := range s.Helm.FileParameters {
		names = append(names, p.Path)
	}
	return names
}

// reads reports whether a source reads a file of its own repository. A chart reads the value
// files that the source names, and its own files. Other sources read what is below their path. A
// Kustomize base elsewhere is not found, because only the kustomization names it.
func reads(s Source, kind, file string) bool {
	root := strings.TrimPrefix(path.Clean("/"+s.Path), "/")
	for _, named := range s.valueFiles() {
		if !strings.HasPrefix(named, "$") && !strings.Contains(named, "://") && isNamed(root, named, file) {
			return true
		}
	}
	below, ok := file, true
	if root != "" {
		below, ok = strings.CutPrefix(file, root+"/")
	}
	if !ok {
		return false
	}
	switch {
	case s.Helm != nil || kind == "Helm":
		return path.Base(below) == "values.yaml" || path.Base(below) == "Chart.yaml" || strings.HasPrefix(below, "templates/")
	case s.Directory != nil && !s.Directory.Recurse, kind == "Directory" && s.Directory == nil:
		return !strings.Contains(below, "/")
	}
	return true
}

// isNamed reports whether a file is the one of this name, which is relative to a directory, or to
// the root of the repository where it begins with a slash, and may have a pattern.
func isNamed(directory, name, file string) bool {
	if !strings.HasPrefix(name, "/") {
		name = path.Join("/", directory) + "/" + name
	}
	name = strings.TrimPrefix(path.Clean(name), "/")
	if name == file {
		return true
	}
	fits, err := path.Match(name, file)
	return err == nil && fits
}

var (
	tagLike    = regexp.MustCompile(`^v?[0-9~^<>=*]`)
	commitLike = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

// otherRevision says what a source follows instead of the branch; "" if it follows the branch.
// No revision and HEAD mean the default branch, which is assumed to be this one: a wrong guess
// does no harm, because the commit that Argo CD compares with must contain the update.
func otherRevision(target, branch string) string {
	name := strings.TrimPrefix(target, "refs/heads/")
	switch {
	case name == branch, target == "", target == "HEAD":
		return ""
	case commitLike.MatchString(target) && !strings.Contains(target, "/"):
		return "pinned to " + target[:7]
	case strings.HasPrefix(target, "refs/tags/"):
		return "pinned to " + strings.TrimPrefix(target, "refs/tags/")
	case tagLike.MatchString(target):
		return "pinned to " + target
	}
	return "follows " + name + ", not " + branch
}
