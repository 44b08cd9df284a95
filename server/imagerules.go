package server

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign"
	"github.com/tallyman-dev/tallyman/server/config"
)

// buildImageRules makes what environments demand of images, by environment; those that
// demand nothing are not in it.
func buildImageRules(c config.Config) (map[string]image.Rules, error) {
	rules := make(map[string]image.Rules)
	keys := make(map[string]*image.Key) // by file: what a key has signed is remembered by the key
	var problems []error
	for _, environment := range slices.Sorted(maps.Keys(c.Environments)) {
		of := c.Environments[environment].Image
		if of == nil {
			continue
		}
		field := config.ImageField(environment)
		r := image.Rules{Wait: of.Wait, AllowMoved: of.Moved == "allow", ECRSigned: of.ECRSigning}
		for i, text := range of.Platforms {
			platform, err := image.ParsePlatform(fmt.Sprintf("%s.platforms[%d]", field, i), text)
			problems = append(problems, err)
			r.Platforms = append(r.Platforms, platform)
		}
		if file := of.SignedBy; file != "" && keys[file] == nil {
			key, err := readImageKey(field+".signedBy", file)
			problems = append(problems, err)
			keys[file] = key
		}
		r.SignedBy = keys[of.SignedBy]
		rules[environment] = r
	}
	return rules, errors.Join(problems...)
}

// readImageKey reads the public key that signs images.
func readImageKey(field, file string) (*image.Key, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, gitops.FieldErrorf(field, "%s cannot be read", file).WithCause(err)
	}
	key, err := cosign.ParseKey(file, text)
	if err != nil {
		return nil, gitops.FieldErrorf(field, "%s", gitops.PublicOf(err)).WithCause(err)
	}
	return key, nil
}

// checkRegistries checks the hosts of registries and the files that they name.
func checkRegistries(c config.Config) error {
	var problems []error
	for i, r := range c.Registries {
		field := config.RegistryField(i)
		problems = append(problems, policy.CheckRepository(field+".host", r.Host+"/image"))
		if _, isECR := policy.ParseECR(r.Host + "/image"); isECR && r.DockerConfigFile != "" {
			problems = append(problems, gitops.FieldErrorf(field+".dockerConfigFile", "is for other registries: %s is one of Amazon ECR, which is asked with the AWS credentials of this process, such as those of its pod's role. Remove the field", r.Host))
		} else if r.DockerConfigFile != "" {
			if err := registry.CheckDockerConfig(r.DockerConfigFile, r.Host); err != nil {
				problems = append(problems, gitops.FieldErrorf(field+".dockerConfigFile", "for registry %s, %s %s", r.Host, r.DockerConfigFile, err))
			}
		}
		_, err := readRoots(field+".caFile", r.CAFile)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
