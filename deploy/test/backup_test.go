package test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// claims are the claims of a pod, by the directory that each is mounted at.
func claims(pod corev1.PodTemplateSpec) map[string]string {
	found := make(map[string]string)
	for _, mount := range pod.Spec.Containers[0].VolumeMounts {
		for _, volume := range pod.Spec.Volumes {
			if volume.Name == mount.Name && volume.PersistentVolumeClaim != nil {
				found[mount.MountPath] = volume.PersistentVolumeClaim.ClaimName
			}
		}
	}
	return found
}

// TestBackupsOfSQLite has serve write into a second volume, and a restore mount the same
// two while no serve runs.
func TestBackupsOfSQLite(t *testing.T) {
	t.Parallel()
	values := filepath.Join(chart, "ci", "backup-values.yaml")
	volumes := map[string]string{"/var/lib/tallyman": "tallyman-store", "/var/backups/tallyman": "tallyman-backup"}
	manifests := decode(t, render(t, chart, values))
	set := objects(manifests, "StatefulSet")[0].typed.(*appsv1.StatefulSet)
	if *set.Spec.Replicas != 0 || len(set.Spec.VolumeClaimTemplates) > 0 {
		t.Errorf("while a restore is under way there are %d replicas, with the templates %v", *set.Spec.Replicas, set.Spec.VolumeClaimTemplates)
	}
	job := objects(manifests, "Job")[0].typed.(*batchv1.Job)
	for kind, pod := range map[string]corev1.PodTemplateSpec{"serve": set.Spec.Template, "restore": job.Spec.Template} {
		if diff := cmp.Diff(volumes, claims(pod)); diff != "" {
			t.Errorf("the volumes of %s: %s", kind, diff)
		}
	}
	want := []string{"restore", "--config", "/etc/tallyman/tallyman.yaml", "--replace", "/var/backups/tallyman/tallyman-20261126T030000Z.backup"}
	if got := job.Spec.Template.Spec.Containers[0].Args; !slices.Equal(got, want) {
		t.Errorf("the Job runs %q", got)
	}
	checkNoService(t, job.Spec.Template, manifests)
	config := objects(manifests, "ConfigMap")[0].typed.(*corev1.ConfigMap).Data["tallyman.yaml"]
	var c struct {
		Backup struct{ Directory, Every string }
	}
	if err := yaml.Unmarshal([]byte(config), &c); err != nil || c.Backup.Directory != "/var/backups/tallyman" || c.Backup.Every != "12h" {
		t.Errorf("the configuration has %+v, %v", c, err)
	}

	piped := objects(decode(t, render(t, chart, values, "--set", "restore.file=-,backup.enabled=false")), "Job")[0].typed.(*batchv1.Job)
	container := piped.Spec.Template.Spec.Containers[0]
	if !container.Stdin || !container.StdinOnce || container.Args[len(container.Args)-1] != "-" || len(claims(piped.Spec.Template)) != 1 {
		t.Errorf("a backup from elsewhere is piped into %+v", container)
	}

	before := objects(decode(t, render(t, chart, values, "--set", "restore.file=")), "StatefulSet")[0].typed.(*appsv1.StatefulSet)
	if *before.Spec.Replicas != 1 {
		t.Errorf("without a restore there are %d replicas", *before.Spec.Replicas)
	}
}

// TestAVolumeGrows renders a larger volume: the claims change, and nothing of the
// StatefulSet, of which most can not change.
func TestAVolumeGrows(t *testing.T) {
	t.Parallel()
	values := filepath.Join(chart, "ci", "backup-values.yaml")
	was, is := decode(t, render(t, chart, values)), decode(t, render(t, chart, values, "--set", "store.sqlite.size=50Gi,backup.size=60Gi"))
	if diff := cmp.Diff(objects(was, "StatefulSet")[0].raw, objects(is, "StatefulSet")[0].raw); diff != "" {
		t.Errorf("the StatefulSet changes: %s", diff)
	}
	sizes := make(map[string]string)
	for _, m := range objects(is, "PersistentVolumeClaim") {
		claim := m.typed.(*corev1.PersistentVolumeClaim)
		sizes[claim.Name] = claim.Spec.Resources.Requests.Storage().String()
		if claim.Annotations["helm.sh/resource-policy"] != "keep" {
			t.Errorf("%s goes with the release", claim.Name)
		}
	}
	if diff := cmp.Diff(map[string]string{"tallyman-store": "50Gi", "tallyman-backup": "60Gi"}, sizes); diff != "" {
		t.Errorf("the claims: %s", diff)
	}
}

// TestBackupsOfPostgres has a CronJob write them, since replicas on several machines
// cannot share a volume, and scales to nothing for a restore.
func TestBackupsOfPostgres(t *testing.T) {
	t.Parallel()
	manifests := decode(t, render(t, chart, filepath.Join(chart, "ci", "postgres-values.yaml"), "--set", "restore.file=a.backup"))
	cron := objects(manifests, "CronJob")[0].typed.(*batchv1.CronJob)
	job := objects(manifests, "Job")[0].typed.(*batchv1.Job)
	want := []string{"backup", "--config", "/etc/tallyman/tallyman.yaml", "--keep", "7", "/var/backups/tallyman/"}
	if got := cron.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Args; !slices.Equal(got, want) || cron.Spec.Schedule != "0 2 * * *" {
		t.Errorf("at %q the CronJob runs %q", cron.Spec.Schedule, got)
	}
	for kind, pod := range map[string]corev1.PodTemplateSpec{"backup": cron.Spec.JobTemplate.Spec.Template, "restore": job.Spec.Template} {
		if diff := cmp.Diff(map[string]string{"/var/backups/tallyman": "tallyman-backup"}, claims(pod)); diff != "" {
			t.Errorf("the volumes of %s: %s", kind, diff)
		}
		checkNoService(t, pod, manifests)
	}
	deployment := objects(manifests, "Deployment")[0].typed.(*appsv1.Deployment)
	if deployment.Spec.Replicas == nil || *deployment.Spec.Replicas != 0 || len(claims(deployment.Spec.Template)) > 0 {
		t.Errorf("while a restore is under way the Deployment has %v replicas, and the volumes %v", deployment.Spec.Replicas, claims(deployment.Spec.Template))
	}
}

// checkNoService sees that no Service sends requests to a pod of a job.
func checkNoService(t *testing.T, pod corev1.PodTemplateSpec, manifests []manifest) {
	t.Helper()
	for _, m := range objects(manifests, "Service") {
		service := m.typed.(*corev1.Service)
		matches := true
		for key, value := range service.Spec.Selector {
			matches = matches && pod.Labels[key] == value
		}
		if matches {
			t.Errorf("the Service %s selects the pod of a job", service.Name)
		}
	}
}

func TestARestoreNeedsTheBackupsVolume(t *testing.T) {
	t.Parallel()
	for set, says := range map[string]string{
		"restore.file=a.backup":                        "backup.enabled must be true",
		"restore.file=/etc/a,backup.enabled=true":      "file",
		"config.backup.keep=3":                         "the chart's to write",
		"backup.enabled=true,backup.every=every night": "every",
	} {
		out, err := tool(t, "helm", "template", "tallyman", chart, "--kube-version", kubeVersion,
			"--values", filepath.Join(chart, "ci", "default-values.yaml"), "--set", set).CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) {
			t.Errorf("%s: %v:\n%s", set, err, out)
		}
	}
}
