package ecrtest

import (
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Role is the role that IRSA and Pod Identity give.
const Role = "arn:aws:iam::123456789012:role/tallyman"

// isolate has the SDK ask this fake alone, and takes the environment's own credentials away.
func (s *Server) isolate(t testing.TB) {
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_ECR": s.http.URL + "/ecr", "AWS_ENDPOINT_URL_STS": s.http.URL + "/sts", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "HOME": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{
		"AWS_CA_BUNDLE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	} {
		t.Setenv(name, "")
	}
}

// UseKeys gives the process the keys of a user, in its environment.
func (s *Server) UseKeys(t testing.TB) {
	t.Helper()
	k := newKey("AKIA")
	k.principal = "arn:aws:iam::123456789012:user/ci"
	s.add(k)
	t.Setenv("AWS_ACCESS_KEY_ID", k.id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", k.secret)
}

// UseIRSA gives the process a web identity, as EKS gives one to a pod whose service account is
// annotated with a role.
func (s *Server) UseIRSA(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	s.identity = rand.Text()
	file := write(t, s.identity)
	s.mu.Unlock()
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
	t.Setenv("AWS_ROLE_ARN", Role)
}

// UsePodIdentity gives the process the agent of EKS Pod Identity.
func (s *Server) UsePodIdentity(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	s.agentToken = rand.Text()
	file := write(t, s.agentToken)
	s.mu.Unlock()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", s.http.URL+"/credentials")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
}

func write(t testing.TB, token string) string {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (s *Server) add(k *key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.id] = k
}

// session makes the keys of the role, good for an hour. Those of before are no longer taken.
func (s *Server) session() *key {
	k := newKey("ASIA")
	k.session = rand.Text()
	k.principal = "arn:aws:sts::123456789012:assumed-role/tallyman/pod"
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.keys)
	s.keys[k.id] = k
	return k
}

type stsError struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
}

func (s *Server) serveSTS(w http.ResponseWriter, r *http.Request) {
	const operation = "AssumeRoleWithWebIdentity"
	s.mu.Lock()
	identity := s.identity
	s.mu.Unlock()
	if r.FormValue("Action") != operation || r.FormValue("RoleArn") != Role || identity == "" || r.FormValue("WebIdentityToken") != identity {
		s.t.Errorf("ecrtest: STS: action %q, role %q, or another token than the file's", r.FormValue("Action"), r.FormValue("RoleArn"))
	}
	switch fault := s.next(operation); fault {
	case "":
	case Hang:
		s.hang(r, operation)
		return
	case Gone:
		panic(http.ErrAbortHandler)
	case Denied:
		stsAnswer(w, 403, stsError{Code: "AccessDenied", Message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"})
		return
	case Broken:
		stsAnswer(w, 500, stsError{Code: "InternalFailure", Message: "internal detail of AWS"})
		return
	default:
		stsAnswer(w, 400, stsError{Code: string(fault), Message: "internal detail of AWS"})
		return
	}
	k := s.session()
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>`+
		`<AssumedRoleUser><Arn>%s</Arn><AssumedRoleId>AROA:pod</AssumedRoleId></AssumedRoleUser>`+
		`<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>`+
		`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, k.principal, k.id, k.secret, k.session, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

func stsAnswer(w http.ResponseWriter, status int, e stsError) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(e)
}

func (s *Server) serveAgent(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	token := s.agentToken
	s.mu.Unlock()
	if token == "" || r.Header.Get("Authorization") != token {
		s.t.Error("ecrtest: the pod identity agent was asked with another token than the file's")
	}
	switch fault := s.next("PodIdentity"); fault {
	case "":
	case Hang:
		s.hang(r, "PodIdentity")
		return
	case Gone:
		panic(http.ErrAbortHandler)
	case Broken:
		w.WriteHeader(http.StatusInternalServerError)
		return
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": string(fault), "message": "internal detail of AWS"})
		return
	}
	k := s.session()
	_ = json.NewEncoder(w).Encode(map[string]string{
		"AccessKeyId": k.id, "SecretAccessKey": k.secret, "Token": k.session, "Expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	})
}
