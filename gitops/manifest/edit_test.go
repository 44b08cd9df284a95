package manifest

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// brokenEditor meets what nobody thought of.
type brokenEditor struct{ breaks func() error }

func (e brokenEditor) Apply([]byte, values.Vars) ([]byte, bool, error) { return nil, false, e.breaks() }

func TestAnEditorThatBreaksFailsItsUpdateAlone(t *testing.T) {
	t.Parallel()
	breaks := map[string]func() error{
		"panic":         func() error { panic("no such node") },
		"runtime error": func() error { var none []int; return errors.New(string(rune(none[len(none)]))) },
		"plain error":   func() error { return errors.New("no such node") },
	}
	for name, b := range breaks {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			var log bytes.Buffer
			w := o.writer(func(c *Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				c.Target = func(environment, app string) (Target, error) {
					target, err := testTarget(environment, app)
					if app == "cart" {
						target.Files[0].Editor = brokenEditor{b}
					}
					return target, err
				}
			})
			settled := o.write(w, o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"), o.update("dev", "mail", "main-0000001"))
			o.check(settled...)
			for i, want := range []gitops.Action{gitops.ActionCommit, gitops.ActionFail, gitops.ActionCommit} {
				if settled[i].Action != want {
					t.Errorf("update %d is %+v, want %s", i, settled[i], want)
				}
			}
			if s := settled[1]; s.Code != gitops.Internal || s.Reason != "an internal error; the log has the cause" {
				t.Errorf("the failure is %+v", s)
			}
			if err := w.Close(); err != nil { // so that the log may be read
				t.Fatal(err)
			}
			cause := "no such node"
			if name == "runtime error" {
				cause = "index out of range"
			}
			if !strings.Contains(log.String(), cause) || !strings.Contains(log.String(), "update="+settled[1].Update) {
				t.Errorf("the log lacks the cause, or whose it was: %s", &log)
			}
		})
	}
}
