package main

import (
	"bytes"
	"log"
	"log/slog"
	"testing"
)

// Every line of the log has its form, also one that a library prints.
func TestLibrariesPrintToTheLog(t *testing.T) {
	flags, out := log.Flags(), log.Writer()
	t.Cleanup(func() { log.SetFlags(flags); log.SetOutput(out) })
	var text bytes.Buffer
	redirectStdLog(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Print("Unsolicited response")
	expect(t, "the log", text.String(), `level=DEBUG msg="Unsolicited response"`)
}
