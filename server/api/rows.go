package api

import (
	"encoding/json"
	"io"
)

// JSONWriter is a body that writes its own JSON. One that is large is written in
// parts, without memory for the whole.
type JSONWriter interface {
	WriteJSON(w io.Writer) error
}

// partSize is about how much of a body is written at once.
const partSize = 32 << 10

// WriteJSON writes what encoding/json would. It knows the form of the apps' rows: of
// an answer with 40,000 of them they are all but everything, and to find their fields
// by reflection takes several times as long.
func (e Environments) WriteJSON(w io.Writer) error {
	branch, err := json.Marshal(e.Branch)
	if err != nil {
		return err
	}
	part := make([]byte, 0, partSize+partSize/8)
	part = append(part, `{"branch":`...)
	part = append(part, branch...)
	part = append(part, `,"environments":[`...)
	for n, environment := range e.Environments {
		if n > 0 {
			part = append(part, ',')
		}
		apps := environment.Apps
		environment.Apps = nil
		head, err := json.Marshal(environment)
		if err != nil {
			return err
		}
		part = append(part, head[:len(head)-len("null}")]...) // up to the apps, which come last
		part = append(part, '[')
		for n, app := range apps {
			if n > 0 {
				part = append(part, ',')
			}
			part = app.appendJSON(part)
			if len(part) >= partSize {
				if _, err := w.Write(part); err != nil {
					return err
				}
				part = part[:0]
			}
		}
		part = append(part, "]}"...)
	}
	part = append(part, ']')
	if len(e.SetAside) > 0 {
		aside, err := json.Marshal(e.SetAside)
		if err != nil {
			return err
		}
		part = append(append(part, `,"setAside":`...), aside...)
	}
	_, err = w.Write(append(part, "}\n"...))
	return err
}

func (a App) appendJSON(out []byte) []byte {
	out = append(out, `{"app":`...)
	out = appendString(out, a.App)
	if a.Manifests != "" {
		out = append(out, `,"manifests":`...)
		out = appendString(out, a.Manifests)
	}
	out = append(out, `,"file":`...)
	out = appendString(out, a.File)
	if a.Tag != "" {
		out = append(out, `,"tag":`...)
		out = appendString(out, a.Tag)
	}
	if a.Problem != "" {
		out = append(out, `,"problem":`...)
		out = appendString(out, a.Problem)
	}
	if a.Rollout != nil {
		rollout, _ := json.Marshal(a.Rollout) // of strings and times alone
		out = append(append(out, `,"rollout":`...), rollout...)
	}
	if len(a.Differs) > 0 {
		differs, _ := json.Marshal(a.Differs) // of strings alone
		out = append(append(out, `,"differs":`...), differs...)
	}
	return append(out, '}')
}

// appendString appends a string in JSON: most need no escaping.
func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			escaped, _ := json.Marshal(s) // a string is never an error
			return append(out, escaped...)
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"')
}
