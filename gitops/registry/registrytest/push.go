package registrytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

// The types of what is pushed.
const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
	ociLayer       = "application/vnd.oci.image.layer.v1.tar"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
	signature      = "application/vnd.dev.cosign.artifact.sig.v1+json"
)

// Pusher pushes into a registry, beside what counts and makes faults. What fails is a mistake
// in the test, and panics.
type Pusher struct {
	send func(*http.Request) *http.Response
}

// Image is one to push.
type Image struct {
	Platforms   []string // as linux/amd64 or linux/arm64/v8; none is linux/amd64. Of several it is an index
	Index       bool     // an index of one platform, too
	Attestation bool     // the index has an entry that is no platform for each that is one
	Docker      bool     // in Docker's types in place of OCI's
	Content     string   // images with the same have the same digest
	Nested      bool     // the index is the only entry of another
	Unnamed     bool     // the index's entries do not say their platforms
}

// Pushed has the digests of what was pushed.
type Pushed struct {
	Digest   string            // of what the tag names
	Children map[string]string // by platform, of an index
	Config   string            // of an image that is not an index, the configuration's
}

// descriptor as the specification of images has it.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int               `json:"size"`
	Platform     *platform         `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// document is a manifest or an index.
type document struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType,omitempty"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
	Subject       *descriptor  `json:"subject,omitempty"`
}

// Push pushes an image, and tags it unless the tag is empty.
func (p Pusher) Push(repository, tag string, i Image) Pushed {
	if len(i.Platforms) == 0 {
		i.Platforms = []string{"linux/amd64"}
	}
	if len(i.Platforms) == 1 && !i.Index && !i.Attestation && !i.Nested {
		d, config := p.pushSingle(repository, tag, i.Platforms[0], i)
		return Pushed{Digest: d.Digest, Config: config}
	}
	pushed := Pushed{Children: make(map[string]string)}
	index := document{SchemaVersion: 2, MediaType: pick(i.Docker, dockerIndex, ociIndex)}
	for _, name := range i.Platforms {
		child, _ := p.pushSingle(repository, "", name, i)
		if !i.Unnamed {
			child.Platform = parsePlatform(name)
		}
		pushed.Children[name] = child.Digest
		index.Manifests = append(index.Manifests, child)
		if i.Attestation {
			built, _ := p.pushSingle(repository, "", "unknown/unknown", Image{Docker: i.Docker, Content: i.Content + name})
			built.Platform = parsePlatform("unknown/unknown")
			built.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": child.Digest}
			index.Manifests = append(index.Manifests, built)
		}
	}
	if i.Nested {
		index = document{SchemaVersion: 2, MediaType: index.MediaType, Manifests: []descriptor{p.putManifest(repository, "", index)}}
	}
	pushed.Digest = p.putManifest(repository, tag, index).Digest
	return pushed
}

func (p Pusher) pushSingle(repository, tag, name string, i Image) (d descriptor, config string) {
	what := parsePlatform(name)
	content := fmt.Sprintf(`{"os":%q,"architecture":%q,"variant":%q,"author":%q}`, what.OS, what.Architecture, what.Variant, i.Content)
	described := p.putBlob(repository, pick(i.Docker, dockerConfig, ociConfig), []byte(content))
	m := document{
		SchemaVersion: 2, MediaType: pick(i.Docker, dockerManifest, ociManifest), Config: &described,
		Layers: []descriptor{p.putBlob(repository, pick(i.Docker, dockerLayer, ociLayer), []byte("layer"))},
	}
	return p.putManifest(repository, tag, m), described.Digest
}

// Tag gives an image more tags.
func (p Pusher) Tag(repository, from string, tags ...string) {
	got := p.do(http.MethodGet, repository+"/manifests/"+from, "", nil, http.StatusOK)
	for _, tag := range tags {
		p.do(http.MethodPut, repository+"/manifests/"+tag, got.mediaType, got.body, http.StatusCreated)
	}
}

// Sign puts signatures beside an image: as what refers to it, or under the tag that its digest
// has.
func (p Pusher) Sign(repository, digest string, tagged bool, signatures ...image.Signature) {
	config := p.putBlob(repository, ociConfig, []byte("{}"))
	m := document{SchemaVersion: 2, MediaType: ociManifest, Config: &config}
	for _, s := range signatures {
		layer := p.putBlob(repository, s.MediaType, s.Payload)
		layer.Annotations = s.Annotations
		m.Layers = append(m.Layers, layer)
	}
	if tagged {
		p.putManifest(repository, strings.Replace(digest, ":", "-", 1)+".sig", m)
		return
	}
	m.ArtifactType, m.Subject = signature, &descriptor{MediaType: ociManifest, Digest: digest}
	m.Subject.Size = len(p.do(http.MethodGet, repository+"/manifests/"+digest, "", nil, http.StatusOK).body)
	p.putManifest(repository, "", m)
}

// Delete deletes a manifest by its digest, or a tag.
func (p Pusher) Delete(repository, reference string) {
	p.do(http.MethodDelete, repository+"/manifests/"+reference, "", nil, http.StatusAccepted)
}

func (p Pusher) putManifest(repository, tag string, m document) descriptor {
	body, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	d := descriptor{MediaType: m.MediaType, Digest: digestOf(body), Size: len(body)}
	if tag == "" {
		tag = d.Digest
	}
	p.do(http.MethodPut, repository+"/manifests/"+tag, m.MediaType, body, http.StatusCreated)
	return d
}

func (p Pusher) putBlob(repository, mediaType string, body []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digestOf(body), Size: len(body)}
	at := p.do(http.MethodPost, repository+"/blobs/uploads/", "", nil, http.StatusAccepted).location
	separator := pick(strings.Contains(at, "?"), "&", "?")
	p.do(http.MethodPut, at+separator+"digest="+d.Digest, "application/octet-stream", body, http.StatusCreated)
	return d
}

type pushAnswer struct {
	body                []byte
	location, mediaType string
}

// do sends one request; path is below /v2/, or what a Location says.
func (p Pusher) do(method, path, mediaType string, body []byte, want int) pushAnswer {
	if i := strings.Index(path, "/v2/"); i >= 0 {
		path = path[i+len("/v2/"):]
	}
	r := httptest.NewRequest(method, "http://registry.test/v2/"+path, bytes.NewReader(body))
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	r.Header.Set("Accept", strings.Join([]string{ociIndex, ociManifest, dockerIndex, dockerManifest}, ", "))
	response := p.send(r)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		panic(fmt.Sprintf("registrytest: %s %s: %d, want %d: %s %v", method, path, response.StatusCode, want, got, err))
	}
	return pushAnswer{got, response.Header.Get("Location"), response.Header.Get("Content-Type")}
}

func parsePlatform(name string) *platform {
	parts := append(strings.Split(name, "/"), "", "")
	return &platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
