package ecrtest

import (
	"fmt"
	"net/http"
)

// Fault is what goes wrong with a call.
type Fault string

const (
	Throttled Fault = "ThrottlingException"
	Broken    Fault = "ServerException" // status 500
	Denied    Fault = "AccessDeniedException"
	Expired   Fault = "ExpiredTokenException"
	Unknown   Fault = "UnrecognizedClientException"
	Hang      Fault = "hang" // it is never answered
	Slow      Fault = "slow" // it is answered after Continue
	Gone      Fault = "gone" // the connection is closed in place of an answer
)

// Fail has the next calls of an operation go wrong, one by each fault. Credentials have
// operations of their own: AssumeRoleWithWebIdentity, and PodIdentity for the agent's.
func (s *Server) Fail(operation string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operation] = append(s.faults[operation], faults...)
}

// Continue has a call that is Slow answered.
func (s *Server) Continue() { s.goesOn <- struct{}{} }

// Hanging receives the operation of each call that hangs or is slow.
func (s *Server) Hanging() <-chan string { return s.hanging }

// next counts a call and takes its fault; "" without one.
func (s *Server) next(operation string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[operation]++
	if len(s.faults[operation]) == 0 {
		return ""
	}
	fault := s.faults[operation][0]
	s.faults[operation] = s.faults[operation][1:]
	return fault
}

// hang returns when the client has given up.
func (s *Server) hang(r *http.Request, operation string) {
	s.hanging <- operation
	<-r.Context().Done()
}

func (f Fault) answer(operation string, by *key) *refusal {
	switch f {
	case "", Slow:
		return nil
	case Broken:
		return &refusal{500, string(f), "internal detail of AWS"}
	case Denied:
		return &refusal{400, string(f), fmt.Sprintf("User: %s is not authorized to perform: ecr:%s on resource: * because no identity-based policy allows the ecr:%s action", by.principal, operation, operation)}
	}
	return &refusal{400, string(f), "internal detail of AWS"}
}
