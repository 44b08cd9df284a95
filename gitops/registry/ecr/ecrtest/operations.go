package ecrtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// read reads a call's body. What the API does not know fails the test.
func (s *Server) read(body []byte, into any) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		s.t.Errorf("ecrtest: %s: %v", body, err)
	}
}

func (s *Server) invalid(format string, args ...any) *refusal {
	message := fmt.Sprintf(format, args...)
	s.t.Errorf("ecrtest: InvalidParameterException: %s", message)
	return &refusal{400, "InvalidParameterException", message}
}

// repository finds what a call is about.
func (s *Server) repository(by *key, account, name string) (*Repository, *refusal) {
	registry := s.registries[place{account, by.region}]
	if registry == nil {
		return nil, s.invalid("account %q has no registry in %s", account, by.region)
	}
	if registry.repositories[name] == nil {
		return nil, &refusal{400, "RepositoryNotFoundException", fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", name, account)}
	}
	return registry.repositories[name], nil
}

func (s *Server) getAuthorizationToken(by *key, body []byte) (any, *refusal) {
	var in struct{}
	s.read(body, &in) // registryIds is deprecated
	password, until := s.newPassword(by.region)
	return map[string]any{"authorizationData": []any{map[string]any{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + password)),
		"expiresAt":          float64(until.UnixMilli()) / 1000,
		"proxyEndpoint":      "https://" + by.account + ".dkr.ecr." + by.region + ".amazonaws.com",
	}}}, nil
}

type imageID struct{ ImageTag, ImageDigest string }

func (s *Server) describeImages(by *key, body []byte) (any, *refusal) {
	var in struct {
		RegistryID     string `json:"registryId"`
		RepositoryName string
		ImageIDs       []imageID `json:"imageIds"`
		Filter         struct{ TagStatus, ImageStatus string }
		MaxResults     *int
		NextToken      string
	}
	s.read(body, &in)
	switch {
	case len(in.ImageIDs) > 0 && (in.MaxResults != nil || in.NextToken != ""):
		return nil, s.invalid("imageIds with maxResults or nextToken")
	case in.MaxResults != nil && (*in.MaxResults < 1 || *in.MaxResults > 1000):
		return nil, s.invalid("maxResults %d is not between 1 and 1000", *in.MaxResults)
	case len(in.ImageIDs) > 100:
		return nil, s.invalid("%d imageIds, more than 100", len(in.ImageIDs))
	case !slices.Contains([]string{"", "TAGGED", "UNTAGGED", "ANY"}, in.Filter.TagStatus):
		return nil, s.invalid("tagStatus %q", in.Filter.TagStatus)
	case !slices.Contains([]string{"", "ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"}, in.Filter.ImageStatus):
		return nil, s.invalid("imageStatus %q", in.Filter.ImageStatus)
	}
	repository, refused := s.repository(by, in.RegistryID, in.RepositoryName)
	if refused != nil {
		return nil, refused
	}
	status := in.Filter.ImageStatus
	if status == "" {
		status = "ACTIVE" // which is the API's default: an image in the archive is not told of
	}
	var found []Image
	for _, i := range repository.images {
		tagged := len(i.Tags) > 0
		if (status == "ANY" || status == i.Status) && (in.Filter.TagStatus != "TAGGED" || tagged) && (in.Filter.TagStatus != "UNTAGGED" || !tagged) {
			found = append(found, i)
		}
	}
	if len(in.ImageIDs) > 0 {
		return s.describe(repository, found, in.ImageIDs)
	}
	size := 100
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	from := 0
	if in.NextToken != "" {
		var err error
		if from, err = strconv.Atoi(in.NextToken); err != nil || from > len(found) {
			return nil, s.invalid("nextToken %q", in.NextToken)
		}
	}
	out := map[string]any{"imageDetails": details(repository, found[from:min(from+size, len(found))])}
	if from+size < len(found) {
		out["nextToken"] = strconv.Itoa(from + size)
	}
	return out, nil
}

// describe answers for images that are named: one that is absent fails the call.
func (s *Server) describe(r *Repository, among []Image, ids []imageID) (any, *refusal) {
	var found []Image
	for _, id := range ids {
		i := slices.IndexFunc(among, func(i Image) bool {
			return id.ImageTag != "" && slices.Contains(i.Tags, id.ImageTag) || id.ImageDigest != "" && i.Digest == id.ImageDigest
		})
		if i < 0 {
			return nil, &refusal{400, "ImageNotFoundException", fmt.Sprintf("The image with imageId %v does not exist within the repository with name '%s'", id, r.name)}
		}
		found = append(found, among[i])
	}
	return map[string]any{"imageDetails": details(r, found)}, nil
}

func details(r *Repository, images []Image) []any {
	all := []any{}
	for _, i := range images {
		all = append(all, map[string]any{
			"registryId": r.registry.at.account, "repositoryName": r.name,
			"imageDigest": i.Digest, "imageTags": i.Tags, "imageStatus": i.Status,
			"imagePushedAt": float64(i.PushedAt.UnixMilli()) / 1000,
		})
	}
	return all
}

func (s *Server) describeRepositories(by *key, body []byte) (any, *refusal) {
	var in struct {
		RegistryID      string   `json:"registryId"`
		RepositoryNames []string `json:"repositoryNames"`
	}
	s.read(body, &in)
	if len(in.RepositoryNames) == 0 || len(in.RepositoryNames) > 100 {
		return nil, s.invalid("%d repositoryNames: a permission for some repositories does not list all", len(in.RepositoryNames))
	}
	all := []any{}
	for _, name := range in.RepositoryNames {
		r, refused := s.repository(by, in.RegistryID, name)
		if refused != nil {
			return nil, refused
		}
		repository := map[string]any{
			"registryId": in.RegistryID, "repositoryName": name, "repositoryArn": r.arn(), "repositoryUri": r.uri(), "imageTagMutability": r.mutability,
		}
		var filters []any
		for _, f := range r.exclusions {
			filters = append(filters, map[string]string{"filter": f, "filterType": "WILDCARD"})
		}
		if filters != nil {
			repository["imageTagMutabilityExclusionFilters"] = filters
		}
		all = append(all, repository)
	}
	return map[string]any{"repositories": all}, nil
}

func (s *Server) describeImageSigningStatus(by *key, body []byte) (any, *refusal) {
	var in struct {
		RegistryID     string `json:"registryId"`
		RepositoryName string
		ImageID        imageID `json:"imageId"`
	}
	s.read(body, &in)
	if in.ImageID == (imageID{}) {
		return nil, s.invalid("imageId is missing")
	}
	r, refused := s.repository(by, in.RegistryID, in.RepositoryName)
	if refused != nil {
		return nil, refused
	}
	if _, refused := s.describe(r, r.images, []imageID{in.ImageID}); refused != nil {
		return nil, refused
	}
	statuses := []any{}
	for _, g := range r.signing[in.ImageID.ImageDigest] {
		status := map[string]string{"status": g.Status, "signingProfileArn": g.Profile}
		if g.Status == "FAILED" {
			status["failureCode"], status["failureReason"] = g.Code, g.Reason
		}
		statuses = append(statuses, status)
	}
	return map[string]any{"imageId": map[string]string{"imageDigest": in.ImageID.ImageDigest}, "signingStatuses": statuses}, nil
}
