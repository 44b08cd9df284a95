package registry

import (
	"io"
	"net/http"
)

// Do sends a request with credentials as the registry demands them. oras sends its own requests
// with it, too. oras guards against token servers and lists that lead elsewhere.
//
// A token that expired is renewed once. A registry should say so with a 401, which oras acts
// on; ECR says 403, and ECR's public one 400 without a challenge.
func (h *host) Do(request *http.Request) (*http.Response, error) {
	client, err := h.authClient()
	if err != nil {
		return nil, err
	}
	x := exchangeOf(request.Context())
	response, err := client.Do(request)
	if err != nil || !mayBeExpired(response) {
		return response, err
	}
	sent, cached := x.sent()
	if !cached || h.fresh.has(sent) {
		return response, nil
	}
	discard(response)
	h.tokens.reject(sent)
	response, err = client.Do(request)
	if err == nil && mayBeExpired(response) {
		fresh, _ := x.sent()
		h.fresh.add(fresh)
	}
	return response, err
}

// mayBeExpired reports whether an answer may mean that the token has expired. A 401 with a
// challenge does not count: the auth client has renewed the token for it.
func mayBeExpired(response *http.Response) bool {
	switch response.StatusCode {
	case http.StatusForbidden:
		return true
	case http.StatusBadRequest, http.StatusUnauthorized:
		return response.Header.Get("WWW-Authenticate") == ""
	}
	return false
}

// discard reads what is left of an answer, so that its connection is kept, and closes it.
// What is longer than an error costs the connection.
func discard(response *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // a connection that breaks now is only not used again
	_ = response.Body.Close()
}
