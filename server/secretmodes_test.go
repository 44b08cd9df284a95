package server

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/config"
)

// Every field of the configuration that names a secret's file is looked at: a new one
// that is forgotten fails here.
func TestSecretFilesAreAllKnown(t *testing.T) {
	c := config.Config{StorePasswordFile: "1"}
	c.Manifests.Credentials = config.Credentials{GitHubApp: &config.GitHubApp{PrivateKeyFile: "2"}, TokenFile: "3", SSHKeyFile: "4", KnownHostsFile: "public"}
	c.Manifests.Signing = config.Signing{SSHKeyFile: "5", OpenPGPKeyFile: "6"}
	c.Repositories = map[string]config.Repository{"r": {
		Credentials: &config.Credentials{GitHubApp: &config.GitHubApp{PrivateKeyFile: "11"}, TokenFile: "12", SSHKeyFile: "13", KnownHostsFile: "public"},
		Signing:     &config.Signing{SSHKeyFile: "14", OpenPGPKeyFile: "6"}, // as manifests
	}}
	c.Sources.GitHub = &config.GitHub{SecretFiles: []string{"7", "8"}}
	c.Sources.EventBridge = &config.EventBridge{SecretFiles: []string{"9"}}
	c.Registries = []config.Registry{{DockerConfigFile: "15", CAFile: "public"}}
	c.ArgoCD = []config.ArgoCD{{TokenFile: "16", CAFile: "public"}}
	c.Notify = []config.Notifier{{Webhook: &config.NotifyWebhook{SecretFile: "17"}, Slack: &config.NotifySlack{URLFile: "18"}}}
	c.API.Tokens = []config.Token{{File: "10"}}
	var paths []string
	for _, file := range namedSecrets(c) {
		paths = append(paths, file.path)
	}
	if want := []string{"1", "2", "3", "4", "5", "6", "11", "12", "13", "14", "7", "8", "9", "15", "16", "17", "18", "10"}; !slices.Equal(paths, want) {
		t.Errorf("found %q", paths)
	}
	known := make(map[string]bool)
	for _, file := range namedSecrets(c) {
		known[strings.NewReplacer("[0]", "", "[1]", "", ".r.", ".").Replace(file.field)] = true
	}
	known["repositories.signing.openPGPKeyFile"] = true // which is told of manifests here
	for _, field := range fileFields(reflect.TypeFor[config.Config](), "") {
		if !known[field] {
			t.Errorf("%s is not looked at", field)
		}
	}
}

// public are the files that hold no secret.
var public = []string{"file", "limits.file", "environments.file", "apps.file", "manifests.caFile", "api.oidc.caFile", "manifests.credentials.knownHostsFile", "also.file", "environments.also.file", "apps.also.file", "discover.file", "discover.also.file", "discover.appFile", "repositories.caFile", "registries.caFile", "argocd.caFile", "repositories.credentials.knownHostsFile"}

// fileFields are the fields that may name a secret's file.
func fileFields(t reflect.Type, path string) (found []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		field := strings.TrimPrefix(path+"."+name, ".")
		isFile := strings.HasSuffix(strings.ToLower(name), "file") || strings.HasSuffix(name, "Files")
		if isFile && !slices.Contains(public, field) {
			found = append(found, field)
		}
		found = append(found, fileFields(t.Field(i).Type, field)...)
	}
	return found
}

// Who else can read a secret is told, with file and mode.
func TestSecretModes(t *testing.T) {
	dir := t.TempDir()
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o400: "", 0o620: "",
		0o640: "its group", 0o440: "its group", 0o644: "everybody on this machine", 0o604: "everybody on this machine",
	} {
		path := filepath.Join(dir, mode.String())
		if err := os.WriteFile(path, []byte("s3cret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		warnings := checkSecretModes(config.Config{StorePasswordFile: path})
		if (want != "") != (len(warnings) == 1) || want != "" && !strings.Contains(warnings[0].Public(), want+" can read the secret") {
			t.Errorf("%s: %v, want %q", mode, warnings, want)
		}
	}
	link := filepath.Join(dir, "link") // as Kubernetes mounts a secret
	if err := os.Symlink(filepath.Join(dir, os.FileMode(0o644).String()), link); err != nil {
		t.Fatal(err)
	}
	if w := checkSecretModes(config.Config{StorePasswordFile: link}); len(w) != 1 || w[0].Field != "storePasswordFile" || !strings.Contains(w[0].Message, link+" has mode 0644") {
		t.Errorf("%v", w)
	}
	if w := checkSecretModes(config.Config{StorePasswordFile: filepath.Join(dir, "missing")}); w != nil {
		t.Errorf("%v", w)
	}
	// A secret of another user's is read by way of its group.
	if os.Geteuid() == 0 {
		path := filepath.Join(dir, "mounted")
		if err := os.WriteFile(path, nil, 0o440); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 65532, 0); err != nil {
			t.Fatal(err)
		}
		if w := checkSecretModes(config.Config{StorePasswordFile: path}); w != nil {
			t.Errorf("%v", w)
		}
	}
}
