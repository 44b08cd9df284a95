package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/inspect"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// checksAtOnce is how many images are asked about at a time.
const checksAtOnce = 8

// checkImages asks registries for the images that are on the branches, for environments that
// have images inspected, and prints a line for each. What an update would need is asked for
// with the permissions that it would need.
func (s *Server) checkImages(ctx context.Context, out io.Writer, g *generation, views map[string]*manifest.View) error {
	var all []imageOnBranch
	for _, t := range g.known().Targets() {
		rules, inspected := g.images[t.Environment]
		if view := views[t.Manifests]; inspected && view != nil && t.Image != "" {
			if tag := tagOn(view, t); tag != "" {
				_, polled := g.polled[t.Environment]
				all = append(all, imageOnBranch{t, tag, rules, polled})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	check := imageCheck{registry: g.registries.client, tags: g.registries.client, now: now}
	if g.registries.ecr != nil {
		check.ecr = g.registries.ecr
	}
	return check.run(ctx, out, all)
}

// tagOn is the tag of an app on the branch; "" where it cannot be read, which is said of its
// file.
func tagOn(view *manifest.View, t *catalog.Target) string {
	text, err := view.ReadFile(t.Files[0].Path)
	if err != nil {
		return ""
	}
	tag, err := t.Files[0].Edit.ReadTag(text)
	if err != nil {
		return ""
	}
	return tag
}

// imageOnBranch is what the branch has of an app whose images are inspected.
type imageOnBranch struct {
	*catalog.Target
	tag    string
	rules  image.Rules
	polled bool
}

// imageCheck asks about images. Each registry that does not answer is asked no more, and what is
// true of a repository is asked for once.
type imageCheck struct {
	registry inspect.Registry
	tags     poll.Tags
	ecr      interface {
		Mutability(ctx context.Context, host, repository string) (ecr.Mutability, error)
		Presence(ctx context.Context, host, repository, tag string) (image.Presence, error)
	}
	now func() time.Time

	mu           sync.Mutex // guards what follows
	away         map[string]error
	repositories map[string]func() repositoryFacts
	lists        map[string]func() error
}

// imageFinding is what was found of one image.
type imageFinding struct {
	line     string
	warnings []string
	problems []error
}

// run asks about all images and tells what it found in their order. What is wrong with
// many apps alike is one problem.
func (c *imageCheck) run(ctx context.Context, out io.Writer, all []imageOnBranch) error {
	found := make([]imageFinding, len(all))
	turns := make(chan struct{}, checksAtOnce)
	var each sync.WaitGroup
	for i, on := range all {
		turns <- struct{}{}
		each.Go(func() {
			defer func() { <-turns }()
			found[i] = c.find(ctx, on)
		})
	}
	each.Wait()
	var told sharedProblems
	for i, f := range found {
		where := all[i].App + " in " + all[i].Environment
		if f.line != "" {
			fmt.Fprintf(out, "%s: %s\n", where, f.line)
		}
		for _, w := range f.warnings {
			fmt.Fprintf(out, "warning: %s: %s\n", where, w)
		}
		for _, p := range f.problems {
			if p != nil {
				told.add(where, p)
			}
		}
	}
	return told.join()
}

// find asks about one image as for an update that is about to fail: thoroughly.
func (c *imageCheck) find(ctx context.Context, on imageOnBranch) (f imageFinding) {
	u := gitops.Update{App: on.App, Environment: on.Environment, Repository: on.Image, Tag: on.tag}
	question := on.rules.Ask(u)
	question.Thorough = true
	answer, err := c.look(ctx, question)
	if err != nil {
		f.problems = append(f.problems, err)
		return f
	}
	host, _ := image.Split(on.Image)
	name := image.Name(on.Image, on.tag)
	switch verdict := image.Judge(on.rules, u, answer, nil, time.Time{}, c.now()); {
	case verdict.Fails != nil:
		f.problems = append(f.problems, verdict.Fails)
	case verdict.Outcome == image.OutcomeAbsent:
		f.problems = append(f.problems, gitops.Errorf(gitops.NotFound, "registry %s has no %s, which is on the branch", host, name))
	case verdict.Found == nil:
		f.problems = append(f.problems, gitops.Errorf(gitops.Rejected, "%s in registry %s is not signed as the environment demands: %s", name, host, answer.Unsigned))
	default:
		f.line = fmt.Sprintf("%s is in registry %s, %s%s", name, host, answer.Digest, forPlatforms(answer.Platforms))
	}
	if on.polled {
		f.problems = append(f.problems, c.canList(ctx, on.Image))
	}
	facts := c.facts(ctx, on.Image, on.tag)
	f.problems = append(f.problems, facts.problems...)
	if facts.mutability == nil {
		return f
	}
	setting := fmt.Sprintf("imageTagMutability %s", facts.mutability.Setting)
	if facts.mutability.Exclusions != nil {
		setting += " for " + strings.Join(facts.mutability.Exclusions, ", ")
	}
	switch mutable := facts.mutability.Mutable(on.tag); {
	case !mutable && f.line != "":
		f.line += "; the tag is immutable (" + setting + ")"
	case mutable && on.rules.AllowMoved && f.line != "":
		f.line += "; the tag is mutable (" + setting + ")"
	case mutable && !on.rules.AllowMoved:
		f.warnings = append(f.warnings, fmt.Sprintf("tag %s of %s is mutable (%s): if it is pushed again, its next updates are refused as moved. Make the repository's tags immutable, or set environments.%s.image.moved: allow",
			on.tag, on.Image, setting, on.Environment))
	}
	return f
}

func forPlatforms(all []image.Platform) string {
	var names []string
	for _, p := range all {
		if p.IsReal() {
			names = append(names, p.String())
		}
	}
	if names == nil {
		return ""
	}
	return ", for " + strings.Join(names, ", ")
}

// look asks a registry, unless it has not answered before.
func (c *imageCheck) look(ctx context.Context, q image.Question) (image.Answer, error) {
	host := c.registry.Host(q.Repository)
	c.mu.Lock()
	err := c.away[host]
	c.mu.Unlock()
	if err != nil {
		return image.Answer{}, err
	}
	answer, err := c.registry.Look(ctx, q)
	if err != nil && gitops.CodeOf(err) != gitops.Forbidden { // which may be of this repository alone
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.away == nil {
			c.away = make(map[string]error)
		}
		c.away[host] = err
	}
	return answer, err
}

// repositoryFacts are what ECR's API says of a repository.
type repositoryFacts struct {
	mutability *ecr.Mutability // nil where it is not ECR's, or not known
	problems   []error
}

// facts asks ECR's API about a repository: whether its tags are mutable, and whether an image that is
// not found could be told from one in the archive.
func (c *imageCheck) facts(ctx context.Context, repository, tag string) repositoryFacts {
	host, name := image.Split(repository)
	if _, isECR := policy.ParseECR(repository); !isECR || c.ecr == nil {
		return repositoryFacts{}
	}
	c.mu.Lock()
	if c.repositories == nil {
		c.repositories = make(map[string]func() repositoryFacts)
	}
	if c.repositories[repository] == nil {
		c.repositories[repository] = sync.OnceValue(func() (facts repositoryFacts) {
			mutability, err := c.ecr.Mutability(ctx, host, name)
			switch {
			case err == nil:
				facts.mutability = &mutability
			case gitops.CodeOf(err) != gitops.NotFound: // of no repository its image is said not to be there
				facts.problems = append(facts.problems, err)
			}
			if _, err := c.ecr.Presence(ctx, host, name, tag); err != nil {
				facts.problems = append(facts.problems, err)
			}
			return facts
		})
	}
	ask := c.repositories[repository]
	c.mu.Unlock()
	return ask()
}

// sharedProblems are problems that several apps may have alike.
type sharedProblems struct {
	texts []string
	of    map[string]*sharedProblem
}

type sharedProblem struct {
	first string // the app that has it, and where
	more  int    // others
	err   error
}

func (s *sharedProblems) add(where string, err error) {
	text := gitops.PublicOf(err)
	if known := s.of[text]; known != nil {
		known.more++
		return
	}
	if s.of == nil {
		s.of = make(map[string]*sharedProblem)
	}
	s.texts = append(s.texts, text)
	s.of[text] = &sharedProblem{first: where, err: err}
}

func (s *sharedProblems) join() error {
	var all []error
	for _, text := range s.texts {
		p := s.of[text]
		if p.more > 0 {
			p.first += fmt.Sprintf(" and %d more", p.more)
		}
		all = append(all, gitops.Errorf(gitops.CodeOf(p.err), "%s: %s", p.first, text).WithCause(p.err))
	}
	return errors.Join(all...)
}
