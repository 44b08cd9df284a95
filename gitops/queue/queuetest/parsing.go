package queuetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// objectsOf makes objects of names; one that begins with ! is a pack.
func objectsOf(names ...string) (objects []gitops.ParsedObject) {
	for _, name := range names {
		o := gitops.ParsedObject{Object: name, Kind: gitops.ParsedFile, Path: "charts/" + name + "'; --.yaml"}
		if name[0] == '!' {
			o.Kind, o.Path = gitops.ParsedPack, "main"
		}
		objects = append(objects, o)
	}
	return objects
}

func (s *script) beginParsing(holder string, deaths int, names ...string) []gitops.Suspect {
	s.t.Helper()
	got, err := s.q.BeginParsing(s.t.Context(), holder, objectsOf(names...), deaths)
	want, wantErr := s.model.BeginParsing(s.t.Context(), holder, objectsOf(names...), deaths)
	s.same(fmt.Sprintf("BeginParsing of %v, below %d deaths", names, deaths), got, err, want, wantErr)
	s.checkSuspects()
	return want
}

func (s *script) endParsing(holder string, names ...string) {
	s.t.Helper()
	s.code("EndParsing", s.q.EndParsing(s.t.Context(), holder, names), "")
	s.code("EndParsing of the model", s.model.EndParsing(s.t.Context(), holder, names), "")
	s.checkSuspects()
}

func (s *script) clearSuspect(name string) {
	s.t.Helper()
	by := gitops.AuditEntry{Principal: "token:ops", Actor: "token:ops", Rule: "access[2]", Reason: "it was the disk", Environment: "dev", App: "api"}
	got, err := s.q.ClearSuspect(s.t.Context(), name, by)
	want, wantErr := s.model.ClearSuspect(s.t.Context(), name, by)
	s.same("ClearSuspect of "+name, got, err, want, wantErr)
	s.checkSuspects()
	s.checkAudit()
}

func (s *script) checkSuspects() {
	s.t.Helper()
	got, err := s.q.Suspects(s.t.Context())
	want, _ := s.model.Suspects(s.t.Context())
	s.same("Suspects", got, err, want, nil)
}

// isSuspect fails unless an object has so many deaths.
func (s *script) isSuspect(name string, deaths int) {
	s.t.Helper()
	if got := s.model.suspects[name].Deaths; got != deaths {
		s.t.Fatalf("%s has %d deaths, not %d", name, got, deaths)
	}
}

// twoDeathsSetAside kills the process twice while it parses one object.
func twoDeathsSetAside(s *script) {
	s.beginParsing("one", 1, "a")
	s.crash()
	s.isSuspect("a", 1)
	s.beginParsing("two", 1, "a")
	s.crash() // it was not noted: no death
	s.isSuspect("a", 1)
	s.advance(time.Second)
	s.beginParsing("three", gitops.SetAsideAfter, "a")
	s.crash()
	s.isSuspect("a", 2)
	if left := s.beginParsing("four", gitops.SetAsideAfter, "b", "a"); len(left) != 1 || !left[0].SetAside() {
		s.t.Fatalf("left %v", left)
	}
	s.endParsing("four", "b")
	s.reopen()
	s.isSuspect("a", 2)
	s.endParsing("five", "a") // the branch has it no more
	s.isSuspect("a", 0)
	s.beginParsing("five", 1, "a")
}

// deathOfSeveral has several objects noted when the process dies: those that are parsed
// alone, with the process alive, are suspect no more.
func deathOfSeveral(s *script) {
	s.beginParsing("one", 1, "a", "b", "!tip")
	s.endParsing("one", "b")
	s.crash()
	s.isSuspect("b", 0)
	if left := s.beginParsing("two", 1, "b", "!tip", "a"); len(left) != 2 {
		s.t.Fatalf("left %v", left)
	}
	s.beginParsing("two", gitops.SetAsideAfter, "a")
	s.endParsing("two", "a")
	s.beginParsing("two", gitops.SetAsideAfter, "!tip")
	s.crash()
	s.isSuspect("a", 0)
	s.isSuspect("b", 1)
	s.isSuspect("!tip", 2)
	s.reopen()
}

// theLivingAreNoDeaths ends notes of one holder beside those of another.
func theLivingAreNoDeaths(s *script) {
	s.beginParsing("one", 1, "a", "b")
	s.beginParsing("one", 1, "a")
	s.endParsing("two", "a")
	s.isSuspect("a", 0)
	s.endParsing("one", "b", "missing")
	s.endParsing("one")
	s.beginParsing("one", 1)
	s.crash()
	s.isSuspect("a", 1)
	s.isSuspect("b", 0)
}

// clearIsAudited is a person's word, of which an entry stays.
func clearIsAudited(s *script) {
	s.beginParsing("one", 1, "a")
	s.clearSuspect("a")
	s.crash()
	s.clearSuspect("missing")
	s.clearSuspect("a")
	s.clearSuspect("a")
	s.isSuspect("a", 0)
	entries := s.listedAudit(queue.AuditFilter{Act: gitops.ActClear}, everything)
	if len(entries) != 1 || entries[0].Before == "" || entries[0].Right != gitops.RightRetry {
		s.t.Fatalf("the audit has %+v", entries)
	}
	s.crash()
}

// parsingAtOnce notes and ends the same objects from many goroutines, in orders that
// meet crosswise.
func parsingAtOnce(s *script) {
	s.beginParsing("one", 1, "a", "b")
	s.crash()
	var done sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		names := []string{"a", "b", "c"}
		if i%2 == 1 {
			names = []string{"c", "b", "a"}
		}
		done.Go(func() {
			holder := fmt.Sprintf("holder-%d", i%3)
			for range 5 {
				if _, errs[i] = s.q.BeginParsing(s.t.Context(), holder, objectsOf(names...), gitops.SetAsideAfter); errs[i] == nil {
					errs[i] = s.q.EndParsing(s.t.Context(), holder, names)
				}
			}
		})
	}
	done.Wait()
	for _, err := range errs {
		s.code("BeginParsing or EndParsing", err, "")
	}
	s.code("EndParsing of the model", s.model.EndParsing(s.t.Context(), "one", []string{"a", "b", "c"}), "")
	s.crash()
	s.checkSuspects()
}

// parse does something with a few objects.
func (r *player) parse() {
	holder := fmt.Sprintf("holder-%d", r.IntN(3))
	name := r.one("a", "b", "!tip")
	switch r.IntN(4) {
	case 0:
		r.endParsing(holder, name)
	case 1:
		r.clearSuspect(name)
	default:
		r.beginParsing(holder, 1+r.IntN(4), name, r.one("c", "d"))
	}
}
