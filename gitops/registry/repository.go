package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	oras "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// The types of Docker's manifests (distribution, "Image Manifest Version 2, Schema 2").
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// accepted is sent with each request for a manifest. A registry that is not told of the
// types of indexes answers 404 for one, or with one platform's manifest.
var accepted = strings.Join([]string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, dockerIndex, dockerManifest}, ", ")

// repository is one that is asked.
type repository struct {
	host *host
	path string
}

// manifest is what a tag or a digest names.
type manifest struct {
	digest digest.Digest
	body   []byte // nil where it was not read
}

// resolve finds out what a tag or a digest names; nil is that it is not there. A 404 to a
// HEAD is checked by a GET where the host may not know HEAD, or the look is thorough; a
// failure of any other kind is never.
func (r *repository) resolve(ctx context.Context, reference string, thorough bool) (*manifest, error) {
	status, header, _, err := r.send(ctx, http.MethodHead, opHead, "/manifests/"+reference, accepted)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusOK:
		r.host.headWorks.Store(true)
		// One of another algorithm is no digest that an update can have (gitops.CheckDigest).
		if named, err := digest.Parse(header.Get("Docker-Content-Digest")); err == nil && named.Algorithm() == digest.SHA256 {
			return &manifest{digest: named}, nil
		}
	case status == http.StatusNotFound && !thorough && r.host.headWorks.Load():
		return nil, nil
	}
	return r.get(ctx, reference)
}

// get reads a manifest, and nil where it is not there. Its digest is that of what was read,
// which must be a manifest: a proxy's page of errors has a digest, too.
func (r *repository) get(ctx context.Context, reference string) (*manifest, error) {
	body, err := r.read(ctx, opManifest, "/manifests/"+reference, accepted)
	if body == nil || err != nil {
		return nil, err
	}
	var d struct {
		SchemaVersion int `json:"schemaVersion"`
	}
	if err := json.Unmarshal(body, &d); err != nil || d.SchemaVersion == 0 {
		return nil, r.host.notAManifest().WithCause(err)
	}
	return &manifest{digest: digest.FromBytes(body), body: body}, nil
}

// fetch reads what a digest names, and checks that it is that; nil is that it is not there.
func (r *repository) fetch(ctx context.Context, operation string, named digest.Digest) ([]byte, error) {
	if named.Validate() != nil {
		return nil, gitops.Errorf(gitops.Unavailable, "registry %s answered with an invalid digest", r.host.name)
	}
	kind, accept := "/manifests/", accepted
	if operation == opBlob {
		kind, accept = "/blobs/", ""
	}
	body, err := r.read(ctx, operation, kind+named.String(), accept)
	if body != nil && err == nil && named.Algorithm().FromBytes(body) != named {
		return nil, gitops.Errorf(gitops.Unavailable, "registry %s answered with other content than that of %s", r.host.name, named)
	}
	return body, err
}

// read sends a GET and returns the body; nil for a 404.
func (r *repository) read(ctx context.Context, operation, path, accept string) ([]byte, error) {
	status, _, body, err := r.send(ctx, http.MethodGet, operation, path, accept)
	if err != nil || status == http.StatusNotFound {
		return nil, err
	}
	return body, nil
}

// send sends one request. It returns answers of 200 and 404, and of HEAD those that say that
// there is no HEAD; every other is an error.
func (r *repository) send(ctx context.Context, method, operation, path, accept string) (int, http.Header, []byte, error) {
	exchanging, x := withExchange(ctx, operation)
	exchanging = auth.AppendRepositoryScope(exchanging, oras.Reference{Registry: image.Endpoint(r.host.name), Repository: r.path}, auth.ActionPull)
	request, err := http.NewRequestWithContext(exchanging, method, r.host.url(r.path+path), nil)
	if err != nil {
		return 0, nil, nil, r.host.problem(ctx, x, err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := r.host.Do(request)
	if err != nil {
		return 0, nil, nil, r.host.problem(ctx, x, err)
	}
	defer discard(response)
	noHead := method == http.MethodHead && (response.StatusCode == http.StatusMethodNotAllowed || response.StatusCode == http.StatusNotImplemented)
	switch {
	case response.StatusCode == http.StatusOK && method == http.MethodGet:
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return 0, nil, nil, r.host.problem(ctx, x, err)
		}
		return response.StatusCode, response.Header, body, nil
	case response.StatusCode == http.StatusOK, response.StatusCode == http.StatusNotFound, noHead:
		return response.StatusCode, response.Header, nil, nil
	}
	return 0, nil, nil, r.host.problem(ctx, x, errorOf(response))
}

// errorOf has a registry's error with the codes in its body, where it has one.
func errorOf(response *http.Response) *errcode.ErrorResponse {
	e := &errcode.ErrorResponse{StatusCode: response.StatusCode}
	var body struct{ Errors errcode.Errors }
	if json.NewDecoder(io.LimitReader(response.Body, 8<<10)).Decode(&body) == nil {
		e.Errors = body.Errors
	}
	return e
}

// oras is the repository in oras's hands, which follows its lists.
func (r *repository) oras(pages int) *remote.Repository {
	return &remote.Repository{
		Client:               r.host,
		Reference:            oras.Reference{Registry: image.Endpoint(r.host.name), Repository: r.path},
		PlainHTTP:            r.host.plain,
		TagListMaxPages:      pages,
		ReferrerListMaxPages: pages,
		MaxMetadataBytes:     maxTagPage + 1, // what is more is an error of the transport's
	}
}

// isStatus reports whether an error is an answer with one of the statuses.
func isStatus(err error, statuses ...int) bool {
	var answered *errcode.ErrorResponse
	if !errors.As(err, &answered) {
		return errors.Is(err, errdef.ErrNotFound)
	}
	for _, status := range statuses {
		if answered.StatusCode == status {
			return true
		}
	}
	return false
}
