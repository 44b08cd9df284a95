package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// demoRegistryServer is a registry that has one image, once that is pushed. It knows just
// enough of the OCI distribution specification for tallyman's look at it.
type demoRegistryServer struct {
	host   string
	server *http.Server
	pushed atomic.Bool
}

func startDemoRegistry() (*demoRegistryServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &demoRegistryServer{host: listener.Addr().String()}
	r.server = &http.Server{Handler: r}
	go func() { _ = r.server.Serve(listener) }() // until close
	return r, nil
}

func (r *demoRegistryServer) close() error { return r.server.Close() }

const demoManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

func (r *demoRegistryServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path != "/v2/"+demoLateApp+"/manifests/"+demoLateTag || !r.pushed.Load() {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	w.Header().Set("Content-Length", fmt.Sprint(len(demoManifest)))
	w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(demoManifest))))
	if req.Method == http.MethodGet {
		fmt.Fprint(w, demoManifest)
	}
}

// orderOfLate is the order of the image that comes late.
var orderOfLate = []string{"update", demoLateApp, demoLateTag, "--env", "next", "--key", "search-" + demoLateTag}

// orderLate orders an image that its registry does not have yet, shows what the update
// waits for, and pushes it.
func (d *demo) orderLate(ctx context.Context, out io.Writer) error {
	if err := d.run(ctx, out, [][]string{orderOfLate}); err != nil {
		return err
	}
	if err := d.server.await(ctx, func(line map[string]any) bool { return line["msg"] == "update waits for its image" }); err != nil {
		return err
	}
	if err := d.run(ctx, out, [][]string{{"updates", "--env", "next", "--state", "pending"}}); err != nil {
		return err
	}
	fmt.Fprint(out, "\n   The image is pushed.\n")
	d.registry.pushed.Store(true)
	if err := d.server.awaitUpdates(ctx, 1); err != nil {
		return err
	}
	return d.run(ctx, out, [][]string{{"history", demoLateApp, "--env", "next"}})
}
