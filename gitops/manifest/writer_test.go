package manifest

import (
	"context"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestOneUpdateIsOneCommitThatChangesOneLine(t *testing.T) {
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := o.update("dev", "shop", "main-1a2b3c4")
	settled := o.write(w, u)
	if got := settled[0].State; got != gitops.Committed {
		t.Fatalf("state %s (%s), want committed", got, settled[0].Reason)
	}
	o.check(settled...)

	again := o.write(w, o.update("dev", "shop", "main-1a2b3c4"))
	if got := again[0].State; got != gitops.Unchanged {
		t.Fatalf("the same tag again is %s, want unchanged", got)
	}
	o.check(again...)
}

func TestAFileCanBeReadBack(t *testing.T) {
	o := newOrigin(t)
	w := o.writer()
	o.write(w, o.update("dev", "shop", "main-1a2b3c4"))
	content, err := w.ReadFile(context.Background(), "charts/shop/values-dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := valuesFile("shop", "dev", "main-1a2b3c4"); string(content) != want {
		t.Errorf("read %q, want %q", content, want)
	}
	if _, err := w.ReadFile(t.Context(), "charts/none.yaml"); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("a file that is not there: %v, want not_found", err)
	}
}
