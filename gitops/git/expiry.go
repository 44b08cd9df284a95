package git

import (
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Expires is when the key can sign no more; the zero time when it has no end, as an SSH
// key, or there is none.
func (s Signing) Expires(now time.Time) (time.Time, error) {
	by, err := s.Signer(now)
	if key, ok := by.(openPGPSigner); ok && err == nil {
		return key.expires(), nil
	}
	return time.Time{}, err
}

// expires is the first end of a part of the key after which no part of it can sign.
func (s openPGPSigner) expires() time.Time {
	var ends []time.Time
	add := func(since time.Time, lifetime *uint32) {
		if lifetime != nil && *lifetime > 0 {
			ends = append(ends, since.Add(time.Duration(*lifetime)*time.Second))
		}
	}
	addPart := func(key *packet.PublicKey, sig *packet.Signature) {
		add(key.CreationTime, sig.KeyLifetimeSecs)
		add(sig.CreationTime, sig.SigLifetimeSecs)
	}
	primary, _ := s.key.PrimarySelfSignature() // there is one: the key has signed a trial
	addPart(s.key.PrimaryKey, primary)
	for _, subkey := range s.key.Subkeys {
		addPart(subkey.PublicKey, subkey.Sig)
	}
	slices.SortFunc(ends, time.Time.Compare)
	for _, end := range ends {
		if _, signs := s.key.SigningKey(end.Add(time.Second)); !signs {
			return end.UTC()
		}
	}
	return time.Time{}
}
