package ecrtest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// Registry is one account's in one region.
type Registry struct {
	server       *Server
	at           place
	repositories map[string]*Repository
	passwords    map[string]time.Time // those that are good for its own protocol, and until when
}

// Registry makes a registry, or returns the one that is there.
func (s *Server) Registry(account, region string) *Registry {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := place{account, region}
	if s.registries[at] == nil {
		s.registries[at] = &Registry{server: s, at: at, repositories: make(map[string]*Repository), passwords: make(map[string]time.Time)}
	}
	return s.registries[at]
}

// Host is its usual host.
func (r *Registry) Host() string {
	return aws.Registry{Account: r.at.account, Region: r.at.region}.Host()
}

// Accepts reports whether the registry's own protocol takes a user and password: the API gave
// them out, and they have neither ended nor been revoked.
func (r *Registry) Accepts(user, password string) bool {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	until, ok := r.passwords[password]
	return user == "AWS" && ok && r.server.now().Before(until)
}

// Revoke ends all passwords that were given out.
func (r *Registry) Revoke() {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	clear(r.passwords)
}

// newPassword makes one that every registry of the region takes. The caller holds the lock.
func (s *Server) newPassword(region string) (password string, until time.Time) {
	password, until = rand.Text(), s.now().Add(s.passwordFor)
	for at, r := range s.registries {
		if at.region == region {
			r.passwords[password] = until
		}
	}
	s.onPassword(password)
	return password, until
}

// Repository is one of a registry.
type Repository struct {
	registry   *Registry
	name       string
	images     []Image
	mutability string
	exclusions []string
	signing    map[string][]Signing // by digest
}

// Repository makes a repository with IMMUTABLE tags, or returns the one that is there.
func (r *Registry) Repository(name string) *Repository {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if r.repositories[name] == nil {
		r.repositories[name] = &Repository{registry: r, name: name, mutability: "IMMUTABLE", signing: make(map[string][]Signing)}
	}
	return r.repositories[name]
}

// Image is one image of a repository.
type Image struct {
	Digest   string
	Tags     []string
	PushedAt time.Time // zero is now
	Status   string    // "" is ACTIVE; ARCHIVED or ACTIVATING
}

// Push adds images.
func (r *Repository) Push(images ...Image) {
	r.registry.server.mu.Lock()
	defer r.registry.server.mu.Unlock()
	for _, i := range images {
		if i.Status == "" {
			i.Status = "ACTIVE"
		}
		if i.PushedAt.IsZero() {
			i.PushedAt = r.registry.server.now()
		}
		r.images = append(r.images, i)
	}
}

// Delete removes the image that a tag names.
func (r *Repository) Delete(t testing.TB, tag string) {
	t.Helper()
	r.registry.server.mu.Lock()
	defer r.registry.server.mu.Unlock()
	before := len(r.images)
	r.images = slices.DeleteFunc(r.images, func(i Image) bool { return slices.Contains(i.Tags, tag) })
	if len(r.images) == before {
		t.Fatalf("ecrtest: %s has no tag %s", r.name, tag)
	}
}

// SetMutability changes imageTagMutability. Settings with exclusions need some, the others none.
func (r *Repository) SetMutability(t testing.TB, setting string, exclusions ...string) {
	t.Helper()
	with := map[string]bool{"MUTABLE": false, "IMMUTABLE": false, "IMMUTABLE_WITH_EXCLUSION": true, "MUTABLE_WITH_EXCLUSION": true}
	if needs, ok := with[setting]; !ok || needs != (len(exclusions) > 0) || len(exclusions) > 5 {
		t.Fatalf("ecrtest: ECR has no %s with %d filters", setting, len(exclusions))
	}
	r.registry.server.mu.Lock()
	defer r.registry.server.mu.Unlock()
	r.mutability, r.exclusions = setting, exclusions
}

// Signing is what managed signing says of an image for one profile.
type Signing struct {
	Status       string // IN_PROGRESS, COMPLETE or FAILED
	Profile      string
	Code, Reason string // of a failure
}

// SetSigning sets what is said of an image; nothing is said of one that no rule matches.
func (r *Repository) SetSigning(digest string, statuses ...Signing) {
	r.registry.server.mu.Lock()
	defer r.registry.server.mu.Unlock()
	r.signing[digest] = statuses
}

func (r *Repository) arn() string {
	at := r.registry.at
	return aws.Registry{Account: at.account, Region: at.region}.RepositoryARN(r.name)
}

func (r *Repository) uri() string { return fmt.Sprintf("%s/%s", r.registry.Host(), r.name) }
