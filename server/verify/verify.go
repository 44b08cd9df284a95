// Package verify compares what four places say of an app in an environment: the registry, the
// manifest repository, Argo CD and the cluster. It is pure: whoever asks the places hands in
// what they said ([Facts]), and gets a line for each ([Report]).
package verify

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// Word says how a place agrees with the tag that the branch has. The set is closed.
type Word string

const (
	OK       Word = "ok"
	Differs  Word = "differs"
	Unsure   Word = "unsure"     // nothing says that it differs, and not all that it agrees
	OnItsWay Word = "on_its_way" // it is to agree by itself, or when a person acts
	NotAsked Word = "not_asked"  // the configuration does not say how
	NoAnswer Word = "no_answer"  // it was asked and did not answer
)

// Words lists every [Word], the one that counts most first: of all lines and of several
// Applications.
func Words() []Word { return []Word{Differs, NoAnswer, OnItsWay, Unsure, OK, NotAsked} }

// Place is one that is compared.
type Place string

// The places, in the order of the lines.
const (
	Registry Place = "registry"
	Manifest Place = "manifest"
	ArgoCD   Place = "argocd"
	Cluster  Place = "cluster"
)

// Report says whether the four places agree. Its JSON form is the API's.
type Report struct {
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Tag         string    `json:"tag,omitempty"` // on the branch; not there where it could not be read
	At          time.Time `json:"at"`            // UTC: when it was asked
	Result      Word      `json:"result"`        // the word of the lines that counts most
	Lines       []Line    `json:"lines"`         // one for each place, in their order
}

// Line is what one place says.
type Line struct {
	Place Place  `json:"place"`
	Word  Word   `json:"word"`
	Text  string `json:"text"` // for people, without a full stop

	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"` // in the registry: of what the tag names, an index's own
	Commit string `json:"commit,omitempty"` // the branch's tip

	// Of Argo CD, the Application that agrees least.
	Application string              `json:"application,omitempty"` // PROJECT/NAMESPACE/NAME
	URL         string              `json:"url,omitempty"`
	Revision    string              `json:"revision,omitempty"`
	Contains    rollout.Containment `json:"contains,omitempty"` // what the revision has of the tag
	Sync        string              `json:"sync,omitempty"`
	Health      string              `json:"health,omitempty"`

	Images []string `json:"images,omitempty"` // of the cluster's pods, each once
}

// Facts are what the places said. What is nil or zero was not asked for.
type Facts struct {
	App, Environment string
	Image            string // without tag; "" where it is not known
	At               time.Time

	Branch   Branch
	Images   Images
	By       string // who says what runs: "argocd", "reports" or "none"
	Reported *Reported
	// Applications are those that read the app's file. Without any Near says what came close, and
	// Err why they could not be looked for.
	Applications []Application
	Near         []string
	Err          error
}

// Branch is what the manifest repository said.
type Branch struct {
	File, Tag, Tip string
	Err            error
	Written        string         // the tag that tallyman wrote last; "" without
	Open           *gitops.Update // the newest that is accepted and not written
}

// Images is what the registry said of the tag.
type Images struct {
	Why    string // it was not asked: a sentence without its full stop
	Rules  image.Rules
	Answer image.Answer
	Seen   []gitops.SeenImage
	Err    error
}

// Reported is where the newest written update was said to stand, by whoever reports it.
type Reported struct {
	Tag     string
	Rollout gitops.Rollout
}

// Application is what Argo CD said of one.
type Application struct {
	Name, URL string // PROJECT/NAMESPACE/NAME, and its page
	Look      rollout.Look
	Running   []string // what nodes say that pods run: an image's name and digest
	Err       error    // it could not be read
	TreeErr   error    // its pods could not be read
}

// Compare makes a line for each place.
func Compare(f Facts) Report {
	r := Report{App: f.App, Environment: f.Environment, Tag: f.Branch.Tag, At: f.At.UTC(), Result: NotAsked}
	argo, cluster := f.rollout()
	r.Lines = []Line{f.registry(), f.manifest(), argo, cluster}
	for _, l := range r.Lines {
		r.Result = Worse(r.Result, l.Word)
	}
	return r
}

// Worse is the word that counts more.
func Worse(a, b Word) Word {
	for _, w := range Words() {
		if w == a || w == b {
			return w
		}
	}
	return a
}

// manifest is the line of the branch.
func (f Facts) manifest() Line {
	b := f.Branch
	l := Line{Place: Manifest, Word: OK, Tag: b.Tag, Commit: b.Tip}
	switch {
	case b.Err != nil:
		l.Word, l.Text = NoAnswer, gitops.PublicOf(b.Err)
	case b.Tag == "":
		l.Word, l.Text = Differs, "no tag can be read from "+b.File
	case b.Open != nil && b.Open.Tag != b.Tag:
		l.Word = OnItsWay
		l.Text = b.Tag + "; " + b.Open.Tag + " is " + string(b.Open.State) + " (update " + b.Open.ID + ")"
	case b.Written != "" && b.Written != b.Tag:
		l.Text = b.Tag + ", by hand: tallyman wrote " + b.Written + " last"
	default:
		l.Text = b.Tag
	}
	if b.Tip != "" {
		l.Text += " at " + short(b.Tip)
	}
	return l
}

// registry is the line of the registry.
func (f Facts) registry() Line {
	l := Line{Place: Registry, Tag: f.Branch.Tag}
	if f.Branch.Tag == "" && f.Images.Why == "" {
		l.Word, l.Text = NotAsked, noTag
		return l
	}
	if f.Images.Why != "" {
		l.Word, l.Text = NotAsked, f.Images.Why
		return l
	}
	if f.Images.Err != nil {
		l.Word, l.Text = NoAnswer, gitops.PublicOf(f.Images.Err)
		return l
	}
	l.Digest = f.digest()
	u := gitops.Update{App: f.App, Environment: f.Environment, Repository: f.Image, Tag: f.Branch.Tag}
	name := image.Name(f.Image, f.Branch.Tag)
	switch v := image.Judge(f.Images.Rules, u, f.Images.Answer, f.Images.Seen, time.Time{}, f.At); {
	case v.Outcome == image.OutcomeAbsent: // whatever an update would wait for
		l.Word, l.Text = Differs, name+" is not there"
	case v.Fails != nil:
		l.Word, l.Text = Differs, v.Fails.Public()
	case v.Found == nil:
		l.Word, l.Text = Differs, name+" is not signed as the environment demands: "+f.Images.Answer.Unsigned
	default:
		l.Word, l.Text = OK, f.Branch.Tag+", "+shortDigest(l.Digest)
	}
	return l
}

// digest is what the tag names in the registry; "" where that is not known.
func (f Facts) digest() string {
	if f.Images.Answer.Presence == image.Present {
		return f.Images.Answer.Digest
	}
	return ""
}

const noTag = "the tag on the branch is not known"

// short is a commit as people read it.
func short(commit string) string { return commit[:min(len(commit), 7)] }

// shortDigest is a digest as people read it.
func shortDigest(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }
