package main

import "text/template"

// lastSteps are the same for both.
var lastSteps = template.Must(template.New("rest").Parse(`4. Install the App on the manifest repository, on those that send dispatches and on those
   that an app names as its source, and on no other:

     {{.Own}}/{{.Slug}}/installations

5. Name the files in tallyman.yaml:

manifests:
  credentials: {githubApp: {appID: APP_ID, privateKeyFile: /etc/tallyman/app.pem}}
sources:
  github: {secretFiles: [/etc/tallyman/webhook-secret]}

6. See that it may push:

     tallyman check --config tallyman.yaml

   Once tallyman runs, the App's page, "Advanced", shows the ping as delivered.
`))

// appSteps is for an App that a person fills in.
var appSteps = template.Must(template.Must(lastSteps.Clone()).New("filled in").Parse(`1. Make a webhook secret:

     umask 077
     printf %s "$(openssl rand -hex 32)" > webhook-secret

2. Open this address; everything but the secret is filled in. Paste it from the file
   into "Webhook secret", and press "Create GitHub App":

     {{.Address}}

3. On the App's page: note the App ID, and press "Generate a private key". It is
   downloaded; keep it as app.pem.

{{template "rest" .}}`))

// pageSteps is for an App that is made from its manifest.
var pageSteps = template.Must(template.Must(lastSteps.Clone()).New("page").Parse(`1. Open {{.Page}} in a browser, press its button, and on GitHub "Create GitHub App".

2. GitHub sends the browser to {{.App.RedirectURL}}?code=CODE. Where
   tallyman runs already it shows this step, too; else the browser shows an error. What
   is wanted is the CODE in the address. Within the hour, and to nobody else:

     umask 077
     gh api {{.API}}--method POST app-manifests/CODE/conversions > app.json

3. Take the secrets out of it, and its numbers down:

     jq -j .pem app.json > app.pem
     jq -j .webhook_secret app.json > webhook-secret
     jq '{id, slug}' app.json
     rm app.json

{{template "rest" .}}`))
