package queuetest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// tellImages makes a delivery that of a registry's event where the script says which
// repository and digest it has: "repo=NAME digest=DIGEST".
func tellImages(d *gitops.Delivery, a arguments) {
	if a.values["repo"] == "" {
		return
	}
	d.Principal = cmp.Or(d.Principal, "push:eventbridge/1")
	for i := range d.Updates {
		d.Updates[i].Repository, d.Updates[i].Digest = a.values["repo"], a.values["digest"]
	}
}

// foundIn is what the words behind a transition say was found: "found=DIGEST [named]".
func (g *golden) foundIn(words []string) *gitops.Found {
	if len(words) == 0 {
		return nil
	}
	digest, _ := strings.CutPrefix(words[0], "found=")
	return &gitops.Found{Digest: digest, At: g.clock.Now(), Named: slices.Contains(words, "named")}
}

func namedText(named bool) string {
	if named {
		return " named"
	}
	return ""
}

// see is "see REPO TAG [DIGEST] [named]".
func (g *golden) see(a arguments) ([]string, error) {
	image := gitops.SeenImage{Repository: a.at(0), Tag: a.at(1), Digest: strings.TrimPrefix(a.at(2), "named"), Named: a.has("named")}
	return []string{"ok"}, g.q.RecordImages(g.t.Context(), []gitops.SeenImage{image})
}

// images is "images REPO TAG...".
func (g *golden) images(a arguments) (lines []string, err error) {
	seen, err := g.q.SeenImages(g.t.Context(), a.at(0), a.words[1:])
	for _, i := range seen {
		line := i.Tag + " " + cmp.Or(i.Digest, "without digest") + " " + when(i.At)
		if i.By != (gitops.DeliveryKey{}) {
			line += " by " + i.By.String()
		}
		lines = append(lines, line+namedText(i.Named))
	}
	return lines, err
}

// accepted is "accepted ENV/APP TAG": whether the highest version that was accepted is the
// tag's.
func (g *golden) accepted(a arguments) ([]string, error) {
	environment, app, _ := strings.Cut(a.at(0), "/")
	heads, err := g.q.Heads(g.t.Context(), environment, []string{app})
	if err != nil {
		return nil, err
	}
	if heads[0].AcceptedVersion != gitops.VersionKey(a.at(1)) {
		return []string{"no"}, nil
	}
	return []string{"yes"}, nil
}
