package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Credentials authenticate requests to the git server.
type Credentials interface {
	// Basic returns the user and password for one request (RFC 7617). It is called
	// for every request, by more than one goroutine at once. When it errs the
	// request is not sent.
	Basic(ctx context.Context) (user, password string, err error)
}

// Invalidator is what credentials may be besides, to be told that the server does not
// accept a password that they gave out.
type Invalidator interface {
	// Invalidate must not block.
	Invalidate(password string)
}

// tokenUser is the user that goes with a token. The large hosts ignore it for
// most tokens; GitHub documents this one for tokens of an app installation.
const tokenUser = "x-access-token"

// TokenFile is a token in a file, such as a mounted secret. White space around
// it does not count.
type TokenFile struct {
	Path string
	User string // default "x-access-token"
}

// Basic reads the file, every time: a token that was replaced is used at once,
// however the replacing was done.
func (f TokenFile) Basic(context.Context) (user, password string, err error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return "", "", fmt.Errorf("opening the token file: %w", err)
	}
	defer file.Close()
	const longest = 16 << 10
	content, err := io.ReadAll(io.LimitReader(file, longest+1))
	if err != nil {
		return "", "", fmt.Errorf("reading the token file: %w", err)
	}
	token := strings.TrimSpace(string(content))
	switch {
	case token == "":
		return "", "", errors.New("the token file is empty")
	case len(content) > longest || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", "", errors.New("the token file does not hold one token")
	}
	if f.User == "" {
		return tokenUser, token, nil
	}
	return f.User, token, nil
}
