package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
)

// write writes the file, over another one only with --force.
func (p *proposal) write(text []byte) (err error) {
	if _, err := os.Stat(p.output); err == nil && p.force {
		return replaceFile(p.output, text)
	}
	f, err := os.OpenFile(p.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// printNext says what to do with the proposal.
func (p *proposal) printNext(notes io.Writer, missing int) {
	file := p.output
	if file == "" {
		file = defaultConfig
	}
	switch missing {
	case 0:
		fmt.Fprintln(notes, "next: read it, and make the files of secrets that it names")
	case 1:
		fmt.Fprintln(notes, "next: read it, fill in the one value marked <fill in: ...>, and make the files of secrets that it names")
	default:
		fmt.Fprintf(notes, "next: read it, fill in the %d values marked <fill in: ...>, and make the files of secrets that it names\n", missing)
	}
	fmt.Fprintf(notes, "then: tallyman check --config %s\n", file)
}

// readRoots returns the system's certificates and those of the file; nil for no file,
// which means the system's.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM", file)
	}
	return roots, nil
}
