package ecrevent

import (
	"fmt"
	"mime"
	"slices"
)

// mediaTypes say what was pushed. A registry holds more than images: Helm charts,
// WebAssembly modules, build caches, signatures and attestations, often in the
// repository of the image that they belong to. Events of before 2023 have neither.
type mediaTypes struct {
	Manifest string `json:"manifest-media-type"`
	Artifact string `json:"artifact-media-type"` // the artifactType of the manifest, else its config's type
}

// The types of images: OCI image spec v1.1, "Media Types", and the Docker manifests
// (distribution spec, "Image Manifest V 2, Schema 2" and the schema before it).
var (
	imageManifests = []string{
		"application/vnd.oci.image.manifest.v1+json",
		"application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
		"application/vnd.docker.distribution.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v1+prettyjws",
	}
	imageConfigs = []string{
		"application/vnd.oci.image.config.v1+json",
		"application/vnd.docker.container.image.v1+json",
	}
)

// notAnImage says why what was pushed is not an image; "" when it is one, or the
// event does not say.
func (m mediaTypes) notAnImage() string {
	manifest, artifact := mediaType(m.Manifest), mediaType(m.Artifact)
	switch {
	case manifest != "" && !slices.Contains(imageManifests, manifest):
		return fmt.Sprintf("manifest-media-type %.100q is not that of an image", m.Manifest)
	case artifact == "", slices.Contains(imageConfigs, artifact), slices.Contains(imageManifests, artifact):
		return ""
	}
	return fmt.Sprintf("artifact-media-type %.100q is not that of an image", m.Artifact)
}

// mediaType is a media type without parameters, in small letters (RFC 9110, section
// 8.3.1). What is not one stays as it is.
func mediaType(text string) string {
	if parsed, _, err := mime.ParseMediaType(text); err == nil {
		return parsed
	}
	return text
}
