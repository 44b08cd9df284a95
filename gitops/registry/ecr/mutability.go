package ecr

import (
	"context"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Mutability says which tags of a repository may come to name another image. It says nothing of a
// tag that is deleted and pushed again: no setting forbids that.
type Mutability struct {
	Setting    string   // imageTagMutability, such as IMMUTABLE_WITH_EXCLUSION
	Exclusions []string // wildcards of tags for which the opposite holds
}

// Mutability reads a repository's imageTagMutability. A repository that does not exist is an
// error of the code not_found.
func (c *Client) Mutability(ctx context.Context, host, repository string) (Mutability, error) {
	r, err := c.open(ctx, host)
	if err != nil {
		return Mutability{}, err
	}
	var out *sdk.DescribeRepositoriesOutput
	err = c.call(ctx, r, describeRepositories, repository, func(ctx context.Context) (err error) {
		out, err = r.api.DescribeRepositories(ctx, &sdk.DescribeRepositoriesInput{RegistryId: &r.Account, RepositoryNames: []string{repository}})
		return err
	})
	if err != nil {
		return Mutability{}, err
	}
	if len(out.Repositories) != 1 {
		return Mutability{}, gitops.Errorf(gitops.NotFound, "registry %s has no repository %s", host, repository)
	}
	m := Mutability{Setting: string(out.Repositories[0].ImageTagMutability)}
	for _, f := range out.Repositories[0].ImageTagMutabilityExclusionFilters {
		m.Exclusions = append(m.Exclusions, awssdk.ToString(f.Filter))
	}
	return m, nil
}

// Mutable reports whether a tag may come to name another image. A setting that is not known
// protects nothing.
func (m Mutability) Mutable(tag string) bool {
	switch types.ImageTagMutability(m.Setting) {
	case types.ImageTagMutabilityImmutable:
		return false
	case types.ImageTagMutabilityImmutableWithExclusion:
		return m.excludes(tag)
	case types.ImageTagMutabilityMutableWithExclusion:
		return !m.excludes(tag)
	default:
		return true
	}
}

func (m Mutability) excludes(tag string) bool {
	for _, wildcard := range m.Exclusions {
		if matches(wildcard, tag) {
			return true
		}
	}
	return false
}

// matches reports whether a wildcard, whose * stands for any text, is all of a tag.
func matches(wildcard, tag string) bool {
	begin, rest, some := strings.Cut(wildcard, "*")
	tag, ok := strings.CutPrefix(tag, begin)
	if !some {
		return ok && tag == ""
	}
	parts := strings.Split(rest, "*")
	end := parts[len(parts)-1]
	if !ok || !strings.HasSuffix(tag, end) {
		return false
	}
	tag = strings.TrimSuffix(tag, end)
	for _, part := range parts[:len(parts)-1] {
		if _, tag, ok = strings.Cut(tag, part); !ok {
			return false
		}
	}
	return true
}
