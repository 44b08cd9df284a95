package image

// Signature is what a registry has beside an image and may be a signature of it: one layer
// of a manifest that refers to the image.
type Signature struct {
	MediaType   string            // of the payload
	Payload     []byte            //
	Annotations map[string]string // of the layer
}
