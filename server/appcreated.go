package server

import (
	"io"
	"net/http"
)

// appCreatedPath is where GitHub sends the browser of whoever made the App from the page
// of tallyman app setup, with a code in the query; see deploy/github-app/manifest.json.
const appCreatedPath = "/app-created"

// appCreatedText says what the code is for. It is the same for everybody: the code is
// neither read nor shown, for it gives out the App's private key, once.
const appCreatedText = `GitHub has made the App. The address of this page ends in ?code=CODE. Within the hour the
code gives out the App's private key and webhook secret, once, so keep the address to
yourself. On your own machine, with the CODE from the address:

    umask 077
    gh api --method POST app-manifests/CODE/conversions > app.json

For a GitHub Enterprise Server add --hostname HOST after "gh api". Then go on with step 3 of
what "tallyman app setup --page" printed.
`

func appCreated(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, appCreatedText) // else the browser is gone
}
