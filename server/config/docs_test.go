package config_test

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fields walks a value of the configuration's type and collects its fields with
// their defaults, as the reference writes both. Below a map or a list stands one
// item, <name> or []; a list that may be named is a field, and so are its items'
// fields where it stands first.
func fields(into map[string]string, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		fields(into, path, v.Elem())
	case reflect.Map:
		for _, key := range v.MapKeys() {
			fields(into, path+".<name>", v.MapIndex(key))
		}
	case reflect.Slice:
		_, sets := v.Interface().(config.Sets)
		if _, also := v.Interface().([]config.Also); sets || also && path != "also" || v.Type().Elem().Kind() != reflect.Struct {
			fieldOf(into, path, v)
			return
		}
		into[path] = ""
		fields(into, path+"[]", v.Index(0))
	case reflect.Struct:
		if _, inherits := v.Interface().(config.Repository); inherits { // its defaults are those of manifests, which have rows
			for i := range v.NumField() {
				into[path+"."+v.Type().Field(i).Tag.Get("yaml")] = ""
			}
			return
		}
		if v.NumField() == 0 { // it is there, or not
			into[path] = ""
		}
		for i := range v.NumField() {
			fields(into, strings.TrimPrefix(path+"."+v.Type().Field(i).Tag.Get("yaml"), "."), v.Field(i))
		}
	default:
		fieldOf(into, path, v)
	}
}

func fieldOf(into map[string]string, path string, v reflect.Value) {
	into[path] = written(v)
	if sets, ok := v.Interface().(config.Sets); ok && path == "set" {
		into[path] = "helm" // which TestPresets says is this list
		fields(into, "set[]", reflect.ValueOf(sets[0]))
		into["set[].key"] = "" // that of the list named helm is not its default
	}
}

// written is a default as the reference writes it; "" when there is none.
func written(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		if value == 0 {
			return ""
		}
		return value.String()
	case config.Bytes:
		if value == 0 {
			return ""
		}
		return value.String()
	case bool:
		return fmt.Sprint(value)
	case int64:
		if value == 0 {
			return ""
		}
		return fmt.Sprint(value)
	case []string:
		if value == nil {
			return ""
		}
		return "[" + strings.Join(value, ", ") + "]"
	case config.Sets, []config.Also, []int64:
		return ""
	case config.Create:
		if value == config.CreateNothing {
			return "false"
		}
	}
	return v.String()
}

// The reference has a row for every field, with the default that it has, and none
// for any other.
func TestReferenceHasEveryField(t *testing.T) {
	c := parse(t, strings.NewReplacer("sources:\n", "  credentials: {githubApp: {}}\nrepositories: {given: {branch: release}}\nsources:\n  sns: {}\n  eventbridge: {}\n", "    tags:", "    image: {}\n    tags:", "myshop-api: {}", "myshop-api: {repositories: {dev: given}, tags: {match: given}, argocd: {dev: given/given}}").Replace(minimal)+
		"registries: [{host: docker.io}]\nargocd: [{url: 'https://given', tokenFile: given, projects: [given]}]\napi: {tokens: [{name: given, file: given}], oidc: {}}\nalso: [{file: given}]\ndiscover: [{file: given, also: [{file: given}]}]\naccess: [{who: {push: {}, poll: {}, revert: {}, dispatch: {}, job: {jobWorkflows: [{}]}}}]\nfreezes: [{weekly: [{}], once: [{}]}]\nnotify: [{name: given, webhook: {url: 'https://given.example', secretFile: given}}, {name: too, slack: {urlFile: given}}]\n")
	dev := c.Environments["dev"]
	dev.PullRequest = parse(t, strings.Replace(minimal, "    tags:", "    write: pull-request\n    tags:", 1)).Environments["dev"].PullRequest
	c.Environments["dev"] = dev
	c.Notify[0].Slack = c.Notify[1].Slack                   // the first item is looked at, and one has the one or the other
	c.Manifests.Author = parse(t, minimal).Manifests.Author // with an App it is found out later
	want := map[string]string{}
	fields(want, "", reflect.ValueOf(c))
	given := []string{"store", "manifests.url", "sources.github.secretFiles", "environments.<name>.tags.match", "api.tokens[].name", "api.tokens[].file", "also[].file", "apps.<name>.repositories.<name>", "apps.<name>.tags.match", "discover[].file", "registries[].host",
		"argocd[].url", "argocd[].tokenFile", "argocd[].projects", "apps.<name>.argocd.<name>",
		"notify[].name", "notify[].webhook.url", "notify[].webhook.secretFile", "notify[].slack.urlFile"} // minimal has them
	want["environments.<name>.rollout.by"] = "" // which depends
	for _, field := range given {
		want[field] = ""
	}

	got := map[string]string{}
	notFields := values.Presets() // which have a table, too, as have the reasons
	for _, reason := range values.Refusals() {
		notFields = append(notFields, string(reason))
	}
	row := regexp.MustCompile("(?m)^\\| `([a-zA-Z.<>\\[\\]]+)` \\| ([^|]+) \\| [^|]+ \\|$")
	rows := row.FindAllStringSubmatch(reference(t), -1)
	for _, m := range rows {
		field, byDefault := m[1], m[2]
		if _, field := want[field]; !field && slices.Contains(notFields, m[1]) {
			continue
		}
		if _, twice := got[field]; twice {
			t.Errorf("%s has two rows", field)
		}
		value, quoted := strings.CutPrefix(byDefault, "`")
		if got[field] = ""; quoted {
			got[field] = strings.TrimSuffix(value, "`")
		}
		required := strings.HasPrefix(byDefault, "required")
		if must := slices.Contains([]string{"store", "manifests.url", "sources.github.secretFiles", "sources.eventbridge.secretFiles",
			"manifests.credentials.githubApp.appID", "manifests.credentials.githubApp.privateKeyFile", "set[].key", "also[].file", "discover[].file", "registries[].host", "argocd[].url", "argocd[].tokenFile", "argocd[].projects",
			"freezes[].name", "freezes[].zone", "freezes[].weekly[].from", "freezes[].weekly[].until", "freezes[].once[].from", "freezes[].once[].until",
			"sources.sns.topics", "api.oidc.audience", "notify[].name", "notify[].webhook.url", "notify[].webhook.secretFile", "notify[].slack.urlFile",
			"access", "access[].may", "access[].apps", "access[].environments", "access[].who.poll.registries", "access[].who.push.source", "access[].who.dispatch.repository", "access[].who.dispatch.repositoryID",
			"access[].who.job.repository", "access[].who.job.repositoryID", "access[].who.job.ownerID", "access[].who.job.refs", "access[].who.job.jobWorkflows[].ref",
			"api.tokens[].name", "api.tokens[].file"}, field); required != must {
			t.Errorf("%s is said to be required: %t", field, required)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the program has -, the reference +:\n%s", diff)
	}
	if len(want) < 30 {
		t.Errorf("only %d fields: %v", len(want), slices.Sorted(maps.Keys(want)))
	}
}

// Every example in the reference is taken: a whole file as it is, a part of one
// as an addition.
func TestReferenceExamplesAreTaken(t *testing.T) {
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(reference(t), -1)
	if len(examples) < 3 || !strings.HasPrefix(examples[0][1], "# tallyman.yaml\n") {
		t.Fatalf("%d examples", len(examples))
	}
	whole := parse(t, examples[0][1])
	if len(whole.Apps) != 1 || whole.Target("dev", "myshop-api").Files[0].File != "charts/myshop-api/values-dev.yaml" {
		t.Errorf("%+v", whole)
	}
	rest := regexp.MustCompile(`(?m)^(environments|apps):\n((  .*)?\n)*`).ReplaceAllString(minimal, "")
	for _, m := range examples[1:] {
		text := rest
		if strings.Contains("\n"+m[1], "\nsources:\n") {
			text = regexp.MustCompile(`(?m)^sources:\n(  .*\n)*`).ReplaceAllString(text, "")
		}
		text += m[1]
		if strings.Contains(m[1], "store:") {
			text = strings.Replace(text, "store: sqlite:///var/lib/tallyman/tallyman.db\n", "", 1)
		}
		for _, must := range []string{"environments", "apps"} {
			if !strings.Contains("\n"+m[1], "\n"+must+":") {
				text += must + ": {dev: {}}\n"
			}
		}
		parse(t, text)
	}
}

// Every reason why a file is left as it is has a row, with its way out.
func TestReferenceHasEveryRefusal(t *testing.T) {
	text := reference(t)
	for _, reason := range values.Refusals() {
		row := regexp.MustCompile("(?m)^\\| `" + string(reason) + "` \\| [^|]+ \\| [^|]+ \\|$")
		if len(row.FindAllString(text, -1)) != 1 {
			t.Errorf("%s has no row of its own", reason)
		}
	}
}

// The reference lists the fields that need a restart.
func TestReferenceListsWhatNeedsARestart(t *testing.T) {
	section := regexp.MustCompile("(?s)These fields cannot change while tallyman\nruns(.*?)The Helm chart").FindStringSubmatch(reference(t))
	if section == nil {
		t.Fatal("the reference does not say which fields need a restart")
	}
	_, list, _ := strings.Cut(section[1], ": ")
	var got, want []string
	for _, m := range regexp.MustCompile("`([a-zA-Z]+)`").FindAllStringSubmatch(list, -1) {
		got = append(got, m[1])
	}
	for i := range reflect.TypeFor[config.Config]().NumField() {
		if field := reflect.TypeFor[config.Config]().Field(i); field.Tag.Get("reload") == "restart" {
			want = append(want, field.Tag.Get("yaml"))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-program +reference:\n%s", diff)
	}
}
