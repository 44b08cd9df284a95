package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// holdArg is a hold as the function place takes it.
type holdArg struct {
	Kind         gitops.HoldKind `json:"kind"`
	Environments []string        `json:"environments"`
	Apps         []string        `json:"apps"`
	Tag          string          `json:"tag"`
	Principal    string          `json:"principal"`
	Actor        string          `json:"actor"`
	Reason       string          `json:"reason"`
	Rule         string          `json:"rule"`
	Until        *time.Time      `json:"until"`
}

// placeAnswer is what the function place answers.
type placeAnswer struct {
	Holds, Replaced []json.RawMessage
	Lanes           []string
	Accepted        []struct {
		Delivery   int
		AcceptedAt time.Time `json:"accepted_at"`
		Sequence   *int64
		State      gitops.State
		Reason     string
	}
}

// Place implements [queue.Holds].
func (s *Store) Place(ctx context.Context, p queue.Placement) (queue.Placed, error) {
	now := time.Now()
	if s.now != nil {
		now = s.now()
	}
	var order *acceptance
	if p.Order != nil {
		var err error
		if order, err = newAcceptance(*p.Order); err != nil {
			return queue.Placed{}, err
		}
	}
	if invalid := p.Check(now); invalid != nil {
		// What was right when it was first asked for is known, however long ago that was.
		if before, err := s.placedBefore(ctx, p, order); err == nil && before.Duplicate || gitops.CodeOf(err) == gitops.Unavailable {
			return before, err
		}
		return queue.Placed{}, invalid
	}
	args, err := s.placeArgs(p, order)
	if err != nil {
		return queue.Placed{}, domainError(err)
	}
	var answer placeAnswer
	err = s.release(ctx, `SELECT place($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, args, &answer)
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case known:
			return s.placedBefore(ctx, p, order)
		case unexpected:
			return queue.Placed{}, written(p, order.delivery.Updates[0], refused.Message)
		case tooMany:
			return queue.Placed{}, queue.ErrTooManyHolds()
		}
	}
	if err != nil {
		return queue.Placed{}, err
	}
	return s.placed(answer, order)
}

// placeArgs are what the function place takes.
func (s *Store) placeArgs(p queue.Placement, order *acceptance) ([]any, error) {
	holds, entries := make([]holdArg, len(p.Holds)), make([]auditArg, len(p.Entries))
	for i, h := range p.Holds {
		holds[i] = holdArg{h.Kind, texts(h.Environments), texts(h.Apps), clean(h.Tag), clean(h.Principal), clean(h.Actor), clean(h.Reason), clean(h.Rule), stored(rounded(h.Until))}
	}
	for i, e := range p.Entries {
		entries[i] = auditArgOf(e)
	}
	entry := auditArgOf(gitops.AuditEntry{Credential: p.Credential, Remote: p.Remote, Config: p.Config})
	var json [3]string
	for i, value := range []any{holds, entry, entries} {
		text, err := marshal(value)
		if err != nil {
			return nil, err
		}
		json[i] = text
	}
	var deliveries, updates, images *string
	var body []byte
	if order != nil {
		one, other, seen, err := acceptArgs([]*acceptance{order})
		if err != nil {
			return nil, err
		}
		deliveries, updates, images, body = &one, &other, seen, order.delivery.Body
	}
	return []any{s.nowArg(), json[0], clean(p.Request()), deliveries, updates, body, queue.MaxWaiting, images, clean(p.Written), json[1], json[2], queue.MaxHolds}, nil
}

func marshal(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

// placed is what the answer says, and gives the hints.
func (s *Store) placed(answer placeAnswer, order *acceptance) (p queue.Placed, err error) {
	if p.Holds, err = readHolds(answer.Holds); err != nil {
		return queue.Placed{}, domainError(err)
	}
	if p.Replaced, err = readHolds(answer.Replaced); err != nil {
		return queue.Placed{}, domainError(err)
	}
	ready := answer.Lanes
	for _, a := range answer.Accepted {
		row := acceptRow{a.Delivery, a.AcceptedAt, a.Sequence, a.State, a.Reason}
		u, err := row.fill(order)
		if err != nil {
			return queue.Placed{}, domainError(err)
		}
		if u != nil && u.State == gitops.Pending {
			ready = append(ready, u.Environment)
		}
	}
	if order != nil {
		p.Order = &order.delivery
	}
	s.hints.send(ready...)
	return p, nil
}

// placedBefore is what an earlier request placed that was the same, if there was one. The
// error's code is NotFound where there was none with the order.
func (s *Store) placedBefore(ctx context.Context, p queue.Placement, order *acceptance) (queue.Placed, error) {
	const holds = `SELECT hold_json(h) FROM holds h WHERE h.request = $1 AND h.request <> '' ORDER BY h.id + 0`
	var before queue.Placed
	request := p.Request()
	if order != nil {
		first, err := s.first(ctx, order.delivery)
		if err != nil {
			return queue.Placed{}, err
		}
		before.Order, before.Duplicate, request = &first, true, queue.OrderRequest(first.Key())
	}
	err := s.read(ctx, func(ctx context.Context) (err error) {
		before.Holds, err = rows(ctx, s.pool, holds, []any{clean(request)}, func(row pgx.CollectableRow) (gitops.Hold, error) {
			var text []byte
			if err := row.Scan(&text); err != nil {
				return gitops.Hold{}, err
			}
			return readHold(text)
		})
		return err
	})
	if err != nil {
		return queue.Placed{}, err
	}
	before.Duplicate = before.Duplicate || len(before.Holds) > 0
	return before, nil
}

// written says what was written of the update's app, by the head in the message.
func written(p queue.Placement, u gitops.Update, message string) error {
	var head struct {
		ID  string `json:"written_id"`
		Tag string `json:"written_tag"`
	}
	if err := json.Unmarshal([]byte(message), &head); err != nil {
		return domainError(err)
	}
	return p.CheckWritten(gitops.Head{Environment: u.Environment, App: u.App, WrittenID: head.ID, WrittenTag: head.Tag})
}
