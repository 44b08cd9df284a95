package values

import (
	"regexp"
	"strings"
)

// signature is a signature around a file's text, or in a comment of it.
var signature = regexp.MustCompile(`(?m)^(?:#[ \t]*)?-----BEGIN (PGP SIGNED MESSAGE|PGP SIGNATURE|SSH SIGNATURE|SIGNATURE)-----`)

// signedBy are annotations with a signature of the object that has them.
var signedBy = []string{"cosign.sigstore.dev/signature", "integrityshield.io/signature"}

// checkAuthentic refuses a file in which something authenticates the rest: with
// any value changed, its reader rejects all of it.
func (s *source) checkAuthentic() error {
	if found := signature.FindSubmatch(s.text); found != nil {
		return refuse(Authenticated, "the file is signed (BEGIN %s), and an edit would break the signature; keep the tag in another file, or sign after the edit", found[1])
	}
	for _, doc := range s.helm {
		if root, ok := doc.(map[any]any); ok {
			if err := checkRootAuthentic(root); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkRootAuthentic(root map[any]any) error {
	// https://getsops.io/docs/#message-authentication-code
	if sops, ok := root["sops"].(map[any]any); ok {
		if mac, has := sops["mac"]; has && mac != nil && mac != "" && sops["mac_only_encrypted"] != true {
			return refuse(Authenticated, "the file has a SOPS MAC over all its values, and after an edit sops would say \"MAC mismatch\"; "+
				"encrypt it with mac_only_encrypted: true in .sops.yaml (sops 3.9 and newer), or keep the tag in a file without secrets")
		}
	}
	// Chart.lock has a digest over its dependencies.
	_, hasDependencies := root["dependencies"].([]any)
	if digest, ok := root["digest"].(string); ok && hasDependencies && digestText.MatchString(digest) {
		return refuse(Authenticated, "the file has a digest over its dependencies (.digest); change Chart.yaml, and run helm dependency update")
	}
	// TUF metadata, and JSON that is signed by JWS or DSSE.
	if _, has := root["signatures"].([]any); has {
		for _, name := range []string{"signed", "payload"} {
			if _, has := root[name]; has {
				return refuse(Authenticated, "the file is signed (.signatures over .%s), and an edit would break the signature; keep the tag in another file", name)
			}
		}
	}
	return checkAnnotations(root)
}

func checkAnnotations(root map[any]any) error {
	metadata, _ := root["metadata"].(map[any]any)
	annotations, _ := metadata["annotations"].(map[any]any)
	for _, name := range signedBy {
		if text, ok := annotations[name].(string); ok && strings.TrimSpace(text) != "" {
			return refuse(Authenticated, "an object in the file is signed (annotation %s), and an edit would break the signature; keep the tag in another file, or sign after the edit", name)
		}
	}
	return nil
}
