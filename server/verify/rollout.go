package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// lasted is what is kept of earlier looks: there was none, so what is seen is taken to last. A
// health that flaps is told as it is now.
func lasted(now time.Time) rollout.Memory {
	since := now.Add(-time.Minute)
	return rollout.Memory{DegradedSince: since, OtherSince: since, IdleSince: since, ProgressingSince: since}
}

// Subject is what Argo CD and the cluster are held to: the tag that the branch has. No commit is
// asked for, since whoever put the tag there, and when, it is the file that decides.
func (f Facts) Subject() rollout.Subject {
	return rollout.Subject{Image: f.Image, Tag: f.Branch.Tag, Digest: f.digest()}
}

// Judge is what is said of an Application, and what is lacking for it.
func (f Facts) Judge(a Application) rollout.Verdict {
	a.Look.Now = f.At
	v, _ := rollout.Judge(f.Subject(), a.Look, lasted(f.At))
	return v
}

// rollout are the lines of Argo CD and of the cluster.
func (f Facts) rollout() (argo, cluster Line) {
	both := func(word Word, text string) (Line, Line) {
		return Line{Place: ArgoCD, Word: word, Text: text}, Line{Place: Cluster, Word: word, Text: text}
	}
	switch {
	case f.By == "reports":
		return both(f.reported())
	case f.By != "argocd":
		return both(NotAsked, "not followed: environments."+f.Environment+".rollout says by whom it is known what runs")
	case f.Branch.Tag == "":
		return both(NotAsked, noTag)
	case f.Err != nil:
		return both(NoAnswer, gitops.PublicOf(f.Err))
	case len(f.Applications) == 0:
		text := "no Application is known to read " + f.Branch.File
		if len(f.Near) > 0 {
			text += "; " + strings.Join(f.Near, "; ")
		}
		return both(Unsure, text)
	}
	for i, a := range f.Applications {
		ofArgo, ofCluster := f.argoCD(a), f.cluster(a)
		if len(f.Applications) > 1 {
			ofArgo.Text, ofCluster.Text = a.Name+": "+ofArgo.Text, a.Name+": "+ofCluster.Text
		}
		images := append(cluster.Images, ofCluster.Images...)
		if i == 0 || Worse(argo.Word, ofArgo.Word) != argo.Word {
			argo = ofArgo
		}
		if i == 0 || Worse(cluster.Word, ofCluster.Word) != cluster.Word {
			cluster = ofCluster
		}
		slices.Sort(images)
		cluster.Images = slices.Compact(images)
	}
	if n := len(f.Applications); n > 1 && argo.Word == OK {
		argo.Text = fmt.Sprintf("%d Applications, all with %s, Synced and Healthy", n, f.Branch.Tag)
	}
	if n := len(f.Applications); n > 1 && cluster.Word == OK {
		cluster.Text = fmt.Sprintf("%d Applications, all of whose pods run %s", n, f.Branch.Tag)
	}
	return argo, cluster
}

// reported is what was reported last.
func (f Facts) reported() (Word, string) {
	if f.Reported == nil {
		return Unsure, "nothing was reported yet"
	}
	r := f.Reported.Rollout
	text := f.Reported.Tag + " is " + string(r.State)
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	text += ", as " + r.By + " reported"
	if f.Reported.Tag != f.Branch.Tag {
		return Unsure, text
	}
	return wordOf(r.State), text
}

// wordOf is the word for where an update stands.
func wordOf(s gitops.RolloutState) Word {
	switch {
	case s == gitops.RolloutHealthy:
		return OK
	case s.Failed(), s == gitops.RolloutGone:
		return Differs
	case s == gitops.RolloutUnmapped, s == gitops.RolloutSuperseded, s == gitops.RolloutUnknown:
		return Unsure
	}
	return OnItsWay
}

// argoCD is what Argo CD says of an Application.
func (f Facts) argoCD(a Application) Line {
	l := Line{Place: ArgoCD, Application: a.Name, URL: a.URL}
	if a.Err != nil {
		l.Word, l.Text = NoAnswer, gitops.PublicOf(a.Err)
		return l
	}
	v := f.Judge(a)
	l.Word, l.Revision = wordOf(v.State), v.Revision
	if a.Look.Application == nil {
		l.Text = v.Reason
		return l
	}
	status := a.Look.Application.Status
	l.Sync, l.Health, l.Contains = status.Sync.Status, status.Health.Status, a.Look.Containing[v.Revision]
	words := []string{"at " + firstOf(short(v.Revision), "no revision")}
	switch l.Contains {
	case rollout.Contained:
		words[0] += ", which has " + f.Branch.Tag
	case rollout.OtherTag:
		words[0] += ", which does not have " + f.Branch.Tag
	}
	words = append(words, firstOf(l.Sync, "not compared yet"), firstOf(l.Health, "no health"))
	l.Text = strings.Join(words, ", ")
	// What is Synced and Healthy there is as it should be for Argo CD, whatever its pods run.
	if agrees := l.Contains == rollout.Contained && l.Sync == "Synced" && l.Health == "Healthy"; agrees && !inOperation(a.Look.Application) {
		l.Word = OK
		return l
	}
	if v.Reason != "" && l.Word != OK {
		l.Text += ": " + v.Reason
	}
	return l
}

// inOperation reports whether something is being done, or was done and failed.
func inOperation(a *rollout.Application) bool {
	o := a.Status.OperationState
	return a.Operation != nil || o != nil && o.Phase != "Succeeded"
}

// cluster is what the pods of an Application run.
func (f Facts) cluster(a Application) Line {
	l := Line{Place: Cluster, Application: a.Name}
	switch {
	case a.Err != nil:
		l.Word, l.Text = NoAnswer, gitops.PublicOf(a.Err)
		return l
	case a.TreeErr != nil:
		l.Word, l.Text = NoAnswer, gitops.PublicOf(a.TreeErr)
		return l
	case a.Look.Tree == nil:
		l.Word, l.Text = Unsure, "its pods are not known"
		return l
	}
	v, tag := f.Judge(a), f.Branch.Tag
	found := rollout.PodsOf(f.Subject(), *a.Look.Tree)
	for _, p := range found.Pods {
		l.Images = append(l.Images, p.Images...)
	}
	slices.Sort(l.Images)
	l.Images = slices.Compact(l.Images)
	n := len(found.Pods)
	switch {
	case n == 0 && v.State == gitops.RolloutHealthy:
		l.Word, l.Text = OK, "no pod is to run, and what would run is "+tag
	case n == 0 && v.State == gitops.RolloutDegraded:
		l.Word, l.Text = Differs, v.Reason
	case n == 0:
		l.Word, l.Text = Unsure, "no pod with the image "+firstOf(f.Image, "of the app")+" was found"
	case found.Another == 0 && found.ByDigest == 0:
		return f.running(l, a, pods(n, n, "run")+" "+tag)
	case found.Another == 0:
		l.Word, l.Text = Unsure, pods(found.ByDigest, n, "name")+" a digest that is not the registry's: an image for several platforms has several"
	case v.State.Failed() || wordOf(v.State) == OK:
		l.Word, l.Text = Differs, pods(found.Another, n, "run")+" "+found.Other+", not "+tag
	default:
		l.Word, l.Text = OnItsWay, pods(found.Another, n, "run")+" "+found.Other+" by now"
	}
	return l
}

// running holds what nodes say that pods run to the registry's digest.
func (f Facts) running(l Line, a Application, text string) Line {
	l.Word, l.Text = OK, text
	digest := f.digest()
	if digest == "" || len(a.Running) == 0 {
		return l
	}
	for _, name := range a.Running {
		if !strings.HasSuffix(name, digest) {
			_, other, _ := strings.Cut(name, "@")
			l.Word = Unsure
			l.Text += fmt.Sprintf(", as %s on a node and %s in the registry: an image for several platforms has several digests, or the tag was moved", shortDigest(other), shortDigest(digest))
			return l
		}
	}
	l.Text += ", " + shortDigest(digest)
	return l
}

// pods says what so many of all pods do.
func pods(n, all int, do string) string {
	switch {
	case all == 1:
		return "its pod " + do + "s"
	case n == all:
		return fmt.Sprintf("all %d pods %s", all, do)
	case n == 1:
		return fmt.Sprintf("1 of %d pods %ss", all, do)
	}
	return fmt.Sprintf("%d of %d pods %s", n, all, do)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
