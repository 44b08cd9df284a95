package secrettest

import (
	"crypto/rand"
	"crypto/rsa"
	"sync"
)

var idle struct {
	mu   sync.Mutex
	keys []*rsa.PrivateKey
}

// TB is what a key needs of a test. A [testing.TB] is one.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Key is a key of RSA that no other test has before this one ends. To make one
// takes a tenth of a second, so they are used again.
func Key(t TB) *rsa.PrivateKey {
	t.Helper()
	idle.mu.Lock()
	defer idle.mu.Unlock()
	var key *rsa.PrivateKey
	if last := len(idle.keys) - 1; last >= 0 {
		key, idle.keys = idle.keys[last], idle.keys[:last]
	} else {
		var err error
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		idle.mu.Lock()
		defer idle.mu.Unlock()
		idle.keys = append(idle.keys, key)
	})
	return key
}
