package argocdtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// ReadStory reads a story as far as it is of one Application: a folder of recordings, of
// which each file has a request and its answer, or a file in which they are trimmed to what
// was answered. Requests that a get-only account cannot make are left out: what they did is
// in the answers.
func ReadStory(from fs.FS, name, project, application string) (Story, error) {
	read := readFolder
	if path.Ext(name) == ".json" {
		read = readTrimmed
	}
	frames, err := read(from, name, application)
	if err == nil && len(frames) == 0 {
		err = fmt.Errorf("it has no answers of %s", application)
	}
	if err != nil {
		return Story{}, fmt.Errorf("story %s: %w", name, err)
	}
	slices.SortStableFunc(frames, func(a, b Frame) int { return cmp.Compare(a.At, b.At) })
	return Story{Project: project, Namespace: Namespace, Name: application, Frames: frames}, nil
}

// recording is a file of a folder.
type recording struct {
	At      float64 `json:"at_seconds"`
	Request struct {
		Line string `json:"line"`
	} `json:"request"`
	Response struct {
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	} `json:"response"`
}

func readFolder(from fs.FS, folder, application string) (frames []Frame, err error) {
	files, err := fs.Glob(from, path.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := fs.ReadFile(from, file)
		if err != nil {
			return nil, err
		}
		var r recording
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if frame, ok := r.frame(application); ok {
			frames = append(frames, frame)
		}
	}
	return frames, nil
}

// frame is the recording's, if it is of the Application and a get-only account could see it.
func (r *recording) frame(name string) (Frame, bool) {
	line := strings.Fields(r.Request.Line)
	if len(line) < 2 || line[0] != http.MethodGet {
		return Frame{}, false
	}
	u, err := url.Parse(line[1])
	if err != nil {
		return Frame{}, false
	}
	below, ok := strings.CutPrefix(u.EscapedPath(), "/api/v1/applications/"+name)
	if !ok || below != "" && below[0] != '/' {
		return Frame{}, false
	}
	below = strings.TrimPrefix(below, "/")
	query := u.Query()
	if _, known := params[below]; !known || r.Response.Status == http.StatusForbidden && !query.Has("project") {
		return Frame{}, false // a 403 for want of project= is the asker's mistake
	}
	return Frame{At: seconds(r.At), Path: below, Refresh: query.Has("refresh"), Status: r.Response.Status, Body: r.Response.Body}, true
}

// trimmed is one answer of a file.
type trimmed struct {
	At          float64         `json:"at_seconds"`
	File        string          `json:"file"` // of the recording; its name says whether it was a refresh
	Application json.RawMessage `json:"application"`
	Tree        json.RawMessage `json:"tree"`
	Managed     json.RawMessage `json:"managed"`
	Windows     json.RawMessage `json:"windows"`
	Gone        bool            `json:"gone"`
}

func readTrimmed(from fs.FS, file, application string) (frames []Frame, err error) {
	text, err := fs.ReadFile(from, file)
	if err != nil {
		return nil, err
	}
	var all []trimmed
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for _, a := range all {
		frame := Frame{At: seconds(a.At), Refresh: strings.Contains(a.File, "refresh"), Status: http.StatusOK}
		switch {
		case a.Application != nil && nameOf(a.Application) == application:
			frame.Body = a.Application
		case a.Tree != nil:
			frame.Path, frame.Body = "resource-tree", a.Tree
		case a.Managed != nil:
			frame.Path, frame.Body = "managed-resources", json.RawMessage(`{"items":`+string(a.Managed)+`}`)
		case a.Windows != nil:
			frame.Path, frame.Body = "syncwindows", a.Windows
		case a.Gone:
			frame.Status = http.StatusNotFound
		default:
			continue
		}
		frames = append(frames, frame)
	}
	return frames, nil
}

func nameOf(application json.RawMessage) string {
	var a struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(application, &a) // what is no Application has no name
	return a.Metadata.Name
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
