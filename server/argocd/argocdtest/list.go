package argocdtest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// listFields are those that lists know; others vanish without a word.
var listFields = []string{
	"metadata.name", "metadata.namespace", "metadata.annotations", "metadata.labels", "metadata.creationTimestamp", "metadata.deletionTimestamp",
	"spec", "status.sourceHydrator", "status.sync.status", "status.health", "status.summary", "status.resources",
	"status.operationState.startedAt", "status.operationState.finishedAt", "status.operationState.phase", "operation.sync",
}

// list answers with the Applications that the account may get. Without a right it is empty.
func (s *Server) list(w http.ResponseWriter, r *http.Request, who *account) {
	query := r.URL.Query()
	for name := range query {
		if name != "projects" && name != "fields" && name != "appNamespace" {
			s.wrong(w, r, http.StatusBadRequest, "the parameter "+name+" is not for a list here")
			return
		}
	}
	fields := strings.Split(query.Get("fields"), ",")
	for i, field := range fields {
		name, ok := strings.CutPrefix(field, "items.")
		if !ok || !slices.Contains(listFields, name) {
			s.wrong(w, r, http.StatusBadRequest, "a list knows no field "+field)
			return
		}
		fields[i] = name
	}
	if _, in := w.(*direct); !in && !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		s.wrong(w, r, http.StatusBadRequest, "a list is to be taken compressed")
		return
	}
	if len(query["projects"]) == 0 {
		s.wrong(w, r, http.StatusForbidden, "the list is of no project")
		return
	}
	s.mu.Lock()
	var items []any // null where there are none, as recorded
	for _, k := range s.sorted() {
		app := s.applications[k]
		listed := slices.Contains(query["projects"], app.project()) && who.mayGet(app.project()) && slices.Contains(s.namespaces, k.namespace)
		if !listed {
			continue
		}
		if status, body := app.answer("", nil); status == http.StatusOK {
			items = append(items, pick(body, fields))
		}
	}
	s.mu.Unlock()
	compressed(w, r, map[string]any{"metadata": map[string]any{"resourceVersion": "3417"}, "items": items})
}

// pick is the part of an Application that the fields name.
func pick(body any, fields []string) map[string]any {
	whole, made := body.(map[string]any)
	if text, recorded := body.(json.RawMessage); recorded && !made {
		_ = json.Unmarshal(text, &whole) // an Application is an object
	}
	picked := make(map[string]any)
	for _, field := range fields {
		from, to, parts := whole, picked, strings.Split(field, ".")
		for i, part := range parts {
			value, ok := from[part]
			if !ok {
				break
			}
			if i == len(parts)-1 {
				to[part] = value
				break
			}
			from, _ = value.(map[string]any)
			if _, ok := to[part]; !ok {
				to[part] = make(map[string]any)
			}
			to = to[part].(map[string]any)
		}
	}
	return picked
}

// compressed answers compressed where the client takes that.
func compressed(w http.ResponseWriter, r *http.Request, body any) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		answer(w, body)
		return
	}
	var text bytes.Buffer
	z := gzip.NewWriter(&text)
	_ = json.NewEncoder(z).Encode(body) // into memory
	_ = z.Close()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(text.Bytes()) // a client that is gone needs none
}
