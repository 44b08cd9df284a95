package limits

import (
	"container/list"
	"sync"
	"time"
)

const (
	knownFor  = 24 * time.Hour // since a client's last authenticated request
	mostKnown = 4096           // of about 250 bytes each: 1 MiB
)

// knownClients are those that were authenticated lately, by [clientKey]. Their
// number is bounded: the one that was quiet for longest is forgotten first. Only who
// has a credential gets into it, so that it cannot be filled from outside. Safe for
// concurrent use.
type knownClients struct {
	now func() time.Time

	mu      sync.Mutex
	byQuiet *list.List // of knownClient, the one seen last in front
	places  map[string]*list.Element
}

type knownClient struct {
	client string
	seen   time.Time
}

func newKnownClients(now func() time.Time) *knownClients {
	return &knownClients{now: now, byQuiet: list.New(), places: make(map[string]*list.Element)}
}

func (k *knownClients) note(client string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if place, ok := k.places[client]; ok {
		place.Value = knownClient{client, k.now()}
		k.byQuiet.MoveToFront(place)
		return
	}
	if k.byQuiet.Len() == mostKnown {
		delete(k.places, k.byQuiet.Remove(k.byQuiet.Back()).(knownClient).client)
	}
	k.places[client] = k.byQuiet.PushFront(knownClient{client, k.now()})
}

func (k *knownClients) has(client string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	place, ok := k.places[client]
	return ok && k.now().Sub(place.Value.(knownClient).seen) < knownFor
}
