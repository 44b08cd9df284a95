package argocd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// listFields are what a list has of each Application. Argo CD knows few fields in lists and
// leaves out those that it does not know, such as the revision: a list finds Applications,
// and proves nothing of them.
const listFields = "items.metadata.name,items.metadata.namespace,items.spec,items.status.sync.status,items.status.health"

// noProject is the project of an Application that names none.
const noProject = "default"

// Applications lists the Applications of the projects: where each is, its spec, and as status
// no more than the two words. Errors are [*gitops.Error]; a project without Applications that
// the token may not get in is Forbidden.
func (c *Client) Applications(ctx context.Context) ([]rollout.Application, error) {
	var all []rollout.Application
	for _, project := range c.config.Projects {
		err := c.list(ctx, project, func(a *rollout.Application) { all = append(all, *a) })
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// list hands the Applications of a project to each, one after another: a large instance's
// list is not in memory as a whole. After an error what each was given is incomplete.
func (c *Client) list(ctx context.Context, project string, each func(*rollout.Application)) error {
	n := 0
	r := request{
		what: "Applications of project " + project, path: []string{"applications"},
		query: url.Values{"projects": {project}, "fields": {listFields}}, most: maxMany,
	}
	err := c.get(ctx, r, func(body io.Reader) error {
		return decodeList(body, func(a *rollout.Application) error {
			a.Spec.Project = cmp.Or(a.Spec.Project, noProject)
			if a.Metadata.Name == "" || a.Spec.Project != project {
				got := Ref{a.Spec.Project, a.Metadata.Namespace, a.Metadata.Name}
				return &wrongAnswerError{fmt.Sprintf("lists Application %s", gitops.Clip(got.String(), maxQuoted))}
			}
			n++
			each(a)
			return nil
		})
	})
	if err != nil || n > 0 {
		return err
	}
	// A list without the right is not refused: it is empty.
	allowed, err := c.CanI(ctx, "get", project)
	if err == nil && !allowed {
		err = gitops.Errorf(gitops.Forbidden, "argocd %s: the token may not get Applications of project %s: give it \"applications, get, %s/*, allow\"",
			c.instance, project, project)
	}
	return err
}

// decodeList reads {"items": [...]}, item by item. It ends in an error unless the list is
// complete.
func decodeList(body io.Reader, each func(*rollout.Application) error) error {
	d := json.NewDecoder(body)
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if name != "items" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return err
			}
			continue
		}
		if err := decodeItems(d, each); err != nil {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

func decodeItems(d *json.Decoder, each func(*rollout.Application) error) error {
	begin, err := d.Token()
	if err != nil || begin == nil { // null: there are none
		return err
	}
	if begin != json.Delim('[') {
		return errors.New("items is not a list")
	}
	for d.More() {
		var a rollout.Application
		if err := d.Decode(&a); err != nil {
			return err
		}
		if err := each(&a); err != nil {
			return err
		}
	}
	return expect(d, json.Delim(']'))
}

func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v should be", got, want)
	}
	return err
}
