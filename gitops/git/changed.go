package git

import "bytes"

// maxChanged is how many directories and files a comparison looks at. A tree may stand
// in another many times, so a few small trees can have more paths than fit anywhere.
const maxChanged = 200_000

// Changed returns the paths of the files that two directories do not have alike,
// from there down. A directory that is the same in both is not entered, so it costs
// as much as the ones that changed. since may be nil, which has no files. When there is
// too much to look at it returns false, and the caller must look at each file of its own.
func (d *Directory) Changed(since *Directory) (paths []string, ok bool) {
	c := changes{left: maxChanged}
	c.directories("", since, d)
	if c.left <= 0 {
		return nil, false
	}
	return c.paths, true
}

type changes struct {
	paths []string
	left  int // directories and files that may still be looked at
}

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
	if c.left--; was.Name == now.Name || c.left <= 0 {
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
		c.left--
		c.paths = append(c.paths, path)
	}
	c.directories(path+"/", was, is)
}
