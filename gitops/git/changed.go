package git

import "bytes"

// Changed returns the paths of the files that two directories do not have alike,
// from there down. A directory that is the same in both is not entered, so it costs
// as much as the ones that changed. since may be nil, which has no files.
func (d *Directory) Changed(since *Directory) []string {
	var c changes
	c.directories("", since, d)
	return c.paths
}

type changes struct{ paths []string }

// noFiles stands for a directory that is not there.
var noFiles = &Directory{}

// directories compares two directories at a path; nil is one that is not there.
func (c *changes) directories(path string, was, now *Directory) {
	if was == nil {
		was = noFiles
	}
	if now == nil {
		now = noFiles
	}
	if was.Name == now.Name {
		return
	}
	stayed := 0
	likely := 0 // where the entry of the same name stands, as long as no name came or went
	for at, nth := 0, 0; at < len(now.data); nth++ {
		e, _ := nextEntry(now.data, at)
		same := bytes.HasPrefix(was.data[likely:], now.data[at:at+e.size])
		at += e.size
		if same {
			stayed++
			likely += e.size
			continue
		}
		old, oldNth, found := was.entry(string(e.Name))
		var before *Directory
		if found {
			stayed++
			likely = old.at + old.size
			before = was.below[oldNth].directory
		}
		if !found || old.Hash != e.Hash || old.Mode != e.Mode {
			c.entries(path+string(e.Name), found && before == nil, before, now.below[nth].directory == nil, now.below[nth].directory)
		}
	}
	if stayed == len(was.below) {
		return
	}
	for at, nth := 0, 0; at < len(was.data); nth++ {
		e, _ := nextEntry(was.data, at)
		at += e.size
		if _, _, found := now.entry(string(e.Name)); !found {
			before := was.below[nth].directory
			c.entries(path+string(e.Name), before == nil, before, false, nil)
		}
	}
}

// entries compares what stands at a path: on each side a file, or a directory, or
// nothing.
func (c *changes) entries(path string, wasFile bool, was *Directory, isFile bool, is *Directory) {
	if wasFile || isFile {
		c.paths = append(c.paths, path)
	}
	c.directories(path+"/", was, is)
}
