package main

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/config"
)

const defaultConfig = "tallyman.yaml"

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server: it takes deliveries and writes the manifest repository.

A change of the file is put in force within a few seconds, and at once by SIGHUP: all of
it, or nothing when something is wrong with it, which the log says. Some fields, such as
listen, store and limits, need a restart. Apps that a branch names need neither.

SIGTERM and SIGINT stop it: it takes no more deliveries, finishes what it is writing,
and exits with 0. What is still pending then is written after the next start. A second
signal ends it at once.`,
		Example: "  tallyman serve --config /etc/tallyman/tallyman.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reload := newReloads(file)
			c, err := config.Load(file)
			if err != nil {
				return badInput{err}
			}
			tuneCollector()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			logger := newLogger(c.Log)
			redirectStdLog(logger)
			return serve(ctx, stop, c, reload, logger)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `file`")
	return cmd
}

// serve runs a server until ctx ends or the server fails, and drains it.
// restoreSignals gives a second signal its usual effect.
func serve(ctx context.Context, restoreSignals func(), c config.Config, reload *reloads, logger *slog.Logger) error {
	s, err := server.New(c, currentVersion(), logger)
	if err != nil {
		return badInput{err}
	}
	limitHeap(s.Memory())
	if err := s.Start(ctx); err != nil {
		return err
	}
	failure := reload.until(ctx, s)
	if failure != nil {
		logger.Error("server failed", slog.String("error", failure.Error()))
	}
	restoreSignals()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Shutdown.Deadline)
	defer cancel()
	return errors.Join(failure, s.Stop(drain))
}

// redirectStdLog writes to the log what libraries print to the standard logger:
// net/http reports a server that answers unasked nowhere else.
func redirectStdLog(logger *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(logger.Handler(), slog.LevelDebug).Writer())
}

func newLogger(c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration's check accepted it
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}
