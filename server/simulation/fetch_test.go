package simulation

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// fetchRequest is what upload-pack is asked for.
type fetchRequest struct {
	wants   []hash // a commit, or files
	have    hash
	shallow []hash // where the history of have ends
	depth   int    // 0 with files
	filter  string // what is left out: "blob:none", "tree:0" or nothing
	done    bool
}

func parseFetch(body []byte) (r fetchRequest, err error) {
	s := pktline.NewScanner(bytes.NewReader(body))
	for s.Scan() {
		line := strings.TrimSuffix(string(s.Bytes()), "\n")
		key, value, _ := strings.Cut(line, " ")
		value, _, _ = strings.Cut(value, " ")
		switch key {
		case "want":
			r.wants = append(r.wants, plumbing.NewHash(value))
		case "have":
			r.have = plumbing.NewHash(value)
		case "shallow":
			r.shallow = append(r.shallow, plumbing.NewHash(value))
		case "deepen":
			_, err = fmt.Sscan(value, &r.depth)
		case "filter":
			if r.filter = value; value != "tree:0" && value != "blob:none" {
				err = fmt.Errorf("an unknown filter %q", value)
			}
		case "done":
			r.done = true
		case "":
		default:
			err = fmt.Errorf("an unknown line %q", line)
		}
		if err != nil {
			return r, err
		}
	}
	// A catch-up knows one commit. Who looks for an edit by hand goes back from where the
	// search has come to.
	caughtUp := r.have.IsZero() && len(r.shallow) == 0 || slices.Equal(r.shallow, []hash{r.have})
	goesBack := r.filter != "tree:0" && !r.have.IsZero()
	if !r.done || len(r.wants) == 0 || r.depth > 0 && len(r.wants) > 1 || !caughtUp && !goesBack {
		return r, fmt.Errorf("a request that the writer should not make: %+v", r)
	}
	return r, s.Err()
}

// uploadPack answers a fetch.
func (o *origin) uploadPack(body []byte) ([]byte, error) {
	r, err := parseFetch(body)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	out := newLines()
	for _, want := range r.wants {
		if !o.gives(want, r.depth) {
			out.line("ERR upload-pack: not our ref %s", want)
			return out.Bytes(), nil
		}
	}
	send, edge := r.wants, []hash(nil)
	if r.depth > 0 {
		send, edge = o.within(r)
	}
	for _, commit := range edge {
		out.line("shallow %s\n", commit)
	}
	out.flush()
	out.line("NAK\n")
	out.band(1, o.all.packOf(send))
	out.flush()
	return out.Bytes(), nil
}

// gives reports whether the server sends this object: a commit that the branch
// reaches, or by itself any file that it has, as git does over HTTP.
func (o *origin) gives(name hash, depth int) bool {
	if object, ok := o.all[name]; ok && depth == 0 {
		return object.kind == plumbing.BlobObject
	}
	for _, topic := range o.topics {
		if name == topic {
			return true
		}
	}
	return o.reaches(name)
}

// within lists the objects that a fetch brings, and the commits where history
// then ends.
func (o *origin) within(r fetchRequest) (send, edge []hash) {
	held := make(map[hash]bool)
	for known := []hash{r.have}; len(known) > 0; known = known[1:] {
		have, ok := o.all[known[0]]
		if !ok || held[known[0]] {
			continue
		}
		held[known[0]] = true
		o.all.reach(have.tree, held)
		if !slices.Contains(r.shallow, known[0]) {
			known = append(known, have.parents...)
		}
	}
	type step struct {
		commit hash
		depth  int
	}
	seen := make(map[hash]bool)
	for queue := []step{{r.wants[0], 1}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if seen[at.commit] {
			continue
		}
		seen[at.commit] = true
		commit := o.all[at.commit]
		if !held[at.commit] {
			send = append(send, at.commit)
			if r.filter != "tree:0" {
				send = append(send, o.lacking(commit.tree, held, r.filter)...)
			}
		}
		for _, parent := range commit.parents {
			if at.depth == r.depth {
				edge = append(edge, at.commit)
				break
			}
			queue = append(queue, step{parent, at.depth + 1})
		}
	}
	return send, edge
}

// lacking lists what a tree reaches and is not held, and holds it.
func (o *origin) lacking(tree hash, held map[hash]bool, filter string) (names []hash) {
	reached := make(map[hash]bool)
	o.all.reach(tree, reached)
	for name := range reached {
		if !held[name] && (filter != "blob:none" || o.all[name].kind != plumbing.BlobObject) {
			held[name] = true
			names = append(names, name)
		}
	}
	return names
}
