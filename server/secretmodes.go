package server

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
)

// secretFile is a file that holds a secret, and the field that names it.
type secretFile struct{ field, path string }

// namedSecrets are all that a configuration names, in its order.
func namedSecrets(c config.Config) (files []secretFile) {
	add := func(field, path string) {
		if path != "" {
			files = append(files, secretFile{field, path})
		}
	}
	add("storePasswordFile", c.StorePasswordFile)
	of := manifestSecrets("manifests", c.Manifests)
	for _, file := range of {
		add(file.field, file.path)
	}
	all := c.ManifestRepositories()
	for _, name := range slices.Sorted(maps.Keys(c.Repositories)) {
		for _, file := range manifestSecrets(config.RepositoryField(name), all[name]) {
			if !slices.ContainsFunc(of, func(f secretFile) bool { return f.path == file.path }) { // what is inherited is told where it stands
				add(file.field, file.path)
			}
		}
	}
	if github := c.Sources.GitHub; github != nil {
		for i, path := range github.SecretFiles {
			add(fmt.Sprintf("sources.github.secretFiles[%d]", i), path)
		}
	}
	if bridge := c.Sources.EventBridge; bridge != nil {
		for i, path := range bridge.SecretFiles {
			add(fmt.Sprintf("sources.eventbridge.secretFiles[%d]", i), path)
		}
	}
	for i, r := range c.Registries {
		add(config.RegistryField(i)+".dockerConfigFile", r.DockerConfigFile)
	}
	for i, instance := range c.ArgoCD {
		add(config.ArgoCDField(i)+".tokenFile", instance.TokenFile)
	}
	for i, n := range c.Notify {
		if n.Webhook != nil {
			add(config.NotifierField(i)+".webhook.secretFile", n.Webhook.SecretFile)
		}
		if n.Slack != nil {
			add(config.NotifierField(i)+".slack.urlFile", n.Slack.URLFile)
		}
	}
	for i, token := range c.API.Tokens {
		add(fmt.Sprintf("api.tokens[%d].file", i), token.File)
	}
	return files
}

// manifestSecrets are those of a manifest repository that the field describes; of what it
// does not have the path is empty.
func manifestSecrets(field string, m config.Manifests) (files []secretFile) {
	if app := m.Credentials.GitHubApp; app != nil {
		files = append(files, secretFile{field + ".credentials.githubApp.privateKeyFile", app.PrivateKeyFile})
	}
	return append(files,
		secretFile{field + ".credentials.tokenFile", m.Credentials.TokenFile},
		secretFile{field + ".credentials.sshKeyFile", m.Credentials.SSHKeyFile},
		secretFile{field + ".signing.sshKeyFile", m.Signing.SSHKeyFile},
		secretFile{field + ".signing.openPGPKeyFile", m.Signing.OpenPGPKeyFile})
}

// checkSecretModes warns of secrets that others than this program's user can read. A
// file that is missing is not warned of here: it is an error, or may come later.
func checkSecretModes(c config.Config) (warnings []*gitops.Error) {
	for _, file := range namedSecrets(c) {
		info, err := os.Stat(file.path)
		if err != nil {
			continue
		}
		if who := readableBy(info); who != "" {
			warnings = append(warnings, gitops.FieldErrorf(file.field, "%s has mode %04o, so %s can read the secret: chmod 600, or 440 where this program is only of its group",
				file.path, info.Mode().Perm(), who))
		}
	}
	return warnings
}

// readableBy says who else can read a file; "" is nobody. Where the file is another
// user's, as in a secret that Kubernetes mounts, its group is how this program reads it.
func readableBy(info fs.FileInfo) string {
	mode := info.Mode().Perm()
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case mode&0o004 != 0:
		return "everybody on this machine"
	case mode&0o040 != 0 && known && int(owner.Uid) == os.Geteuid():
		return "its group"
	}
	return ""
}
