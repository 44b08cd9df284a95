package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
)

// imageHost is a registry that has every image but those that are late. It knows just
// enough of the OCI distribution specification: it shares the processors with what is measured.
type imageHost struct {
	host   string
	server *http.Server

	mu    sync.Mutex
	late  map[string]int // how often each that is not there was asked for, by name:tag
	heads int            // of those that are there
	news  chan struct{}  // has a value when late has changed; one waiter at a time
}

func startImageHost() (*imageHost, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &imageHost{host: listener.Addr().String(), late: make(map[string]int), news: make(chan struct{}, 1)}
	r.server = &http.Server{Handler: r}
	go func() { _ = r.server.Serve(listener) }() // until close
	return r, nil
}

func (r *imageHost) close() error { return r.server.Close() }

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// manifest is an image's, which no other has.
func manifest(image string) string {
	const empty = `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s],"annotations":{"image":%q}}`, manifestType, empty, empty, image)
}

func (r *imageHost) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name, tag, ok := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), "/manifests/")
	image := name + ":" + tag
	if !ok || req.Method != http.MethodHead && req.Method != http.MethodGet || !r.has(image) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	text := manifest(image)
	w.Header().Set("Content-Type", manifestType)
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))))
	if req.Method == http.MethodGet {
		fmt.Fprint(w, text)
	}
}

// has counts a look at an image.
func (r *imageHost) has(image string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, late := r.late[image]; !late {
		r.heads++
		return true
	}
	r.late[image]++
	select {
	case r.news <- struct{}{}:
	default:
	}
	return false
}

// delay has an image not be there until the function is called that it returns.
func (r *imageHost) delay(image string) (push func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late[image] = 0
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.late, image)
	}
}

// awaitLooks waits until an image that is late was asked for so often.
func (r *imageHost) awaitLooks(ctx context.Context, image string, times int) error {
	for {
		r.mu.Lock()
		asked, late := r.late[image]
		r.mu.Unlock()
		switch {
		case !late:
			return errors.New("image " + image + " is not late")
		case asked >= times:
			return nil
		}
		select {
		case <-r.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counted is how many looks found an image since the last time.
func (r *imageHost) counted() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	heads := r.heads
	r.heads = 0
	return heads
}
