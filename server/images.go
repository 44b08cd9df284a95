package server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/inspect"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// registries are how registries are asked. They outlive the configuration that they were
// made for, as long as the ones after it say the same of registries.
type registries struct {
	client   *registry.Client
	ecr      *ecr.Client // nil where no environment has images inspected
	settings []config.Registry
	files    [][]byte // contents of those that are read once
}

// dialer connects to a registry.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// newRegistries makes what asks registries, or keeps that of before where the configuration
// says the same. It connects to nothing. Without an environment that has images inspected
// there is no client of AWS.
func (s *Server) newRegistries(c config.Config, before *registries) *registries {
	all := &registries{settings: c.Registries}
	for _, r := range c.Registries {
		text, _ := os.ReadFile(r.CAFile)
		all.files = append(all.files, text)
	}
	if before.sameAs(all, c.ImagesInspected()) {
		return before
	}
	settings := registry.Config{Recorder: s.metrics.images, Verify: cosign.Verify, Logger: s.logger, Now: now, Dial: s.dial}
	for _, r := range c.Registries {
		settings.Hosts = append(settings.Hosts, registry.Host{Name: r.Host, DockerConfigFile: r.DockerConfigFile, CAFile: r.CAFile})
	}
	if c.ImagesInspected() {
		all.ecr = ecr.New(ecr.Config{Recorder: s.metrics.images, Logger: s.logger, Now: now})
		settings.ECR = all.ecr
	}
	all.client = registry.New(settings)
	return all
}

// sameAs reports whether a configuration asks registries as the one before did.
func (r *registries) sameAs(other *registries, inspected bool) bool {
	return r != nil && inspected == (r.ecr != nil) && reflect.DeepEqual(r.settings, other.settings) && slices.EqualFunc(r.files, other.files, bytes.Equal)
}

// newRoom makes what inspects the images of updates. It does nothing until a lane asks.
func (s *Server) newRoom() *inspect.Room {
	return inspect.New(inspect.Config{
		Registry: func() inspect.Registry { return s.current().registries.client },
		Seen:     s.store,
		Rules: func(environment string) (image.Rules, bool) {
			rules, ok := s.current().images[environment]
			return rules, ok
		},
		Recorder: s.metrics.images, Logger: s.logger, Now: now,
	})
}

// startRoom makes the room ready for lanes; it ends after them.
func (s *Server) startRoom() {
	s.room = s.newRoom()
	s.metrics.images.room.Store(s.room)
	s.onStop("images", func(context.Context) error {
		s.room.Close()
		s.current().registries.client.Close()
		return nil
	})
}

// anotherImage says why an update is of another image than its app has now, where images are
// inspected: its tag would be written behind a name that the registry was not asked about.
func (s *Server) anotherImage(u gitops.Update) string {
	g := s.current()
	t, known := g.known().Target(u.Environment, u.App)
	if _, inspected := g.images[u.Environment]; !inspected || !known || t.Image == "" || u.Repository == "" || image.Canonical(t.Image) == image.Canonical(u.Repository) {
		return ""
	}
	return fmt.Sprintf("the repository of %[1]s in %[2]s was %[3]s when this update was accepted, and is %[4]s now. To write %[5]s of that, order it again: tallyman update %[1]s %[5]s --env %[2]s",
		u.App, u.Environment, u.Repository, t.Image, u.Tag)
}

// movedTags has moved tags left out of events before they are accepted; nil where no
// environment refuses them.
func (s *Server) movedTags(g *generation) *webhook.MovedTags {
	refuses := make(map[string]bool)
	for environment, rules := range g.images {
		if !rules.AllowMoved {
			refuses[environment] = true
		}
	}
	if len(refuses) == 0 {
		return nil
	}
	return &webhook.MovedTags{
		SeenImages: s.store.SeenImages,
		Refuses:    func(environment string) bool { return refuses[environment] },
		Refused:    func(environment string) { s.metrics.images.Inspected(environment, image.OutcomeMoved) },
	}
}
