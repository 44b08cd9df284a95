package guard

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// endWithin is how long the store may take to take notes away.
const endWithin = 5 * time.Second

// Know says that an object was made of another by this process, as an edit does: when
// that was parsed, this one was, too.
func (g *Guard) Know(object, of string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.parsed[of] {
		g.know(object)
	}
}

func (g *Guard) know(object string) {
	if len(g.parsed) >= known {
		clear(g.parsed) // what is parsed again is noted again
	}
	g.parsed[object] = true
}

func (g *Guard) needsNote(o gitops.ParsedObject, cost int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.store != nil && !g.parsed[o.Object] && (cost >= noteworthy || o.Kind == gitops.ParsedPack)
}

// begin notes an object, or returns why it is not noted: a suspect of so many deaths.
func (g *Guard) begin(ctx context.Context, o gitops.ParsedObject, deaths int) (*gitops.Suspect, error) {
	g.mu.Lock()
	store, holder := g.store, g.holder
	g.noted[o.Object]++ // before it is noted: whoever parses it beside this must not take the note away
	g.mu.Unlock()
	if store == nil { // closed meanwhile
		return nil, nil
	}
	suspects, err := store.BeginParsing(ctx, holder, []gitops.ParsedObject{o}, deaths)
	if err == nil && len(suspects) == 0 {
		return nil, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.noted[o.Object]--; g.noted[o.Object] == 0 {
		delete(g.noted, o.Object)
	}
	if err != nil {
		return nil, err
	}
	g.remember(suspects[0])
	return &suspects[0], nil
}

// end says that an object was parsed, and the process lives. The note goes a moment
// later, together with others.
func (g *Guard) end(object string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.noted[object]--; g.noted[object] > 0 {
		return
	}
	delete(g.noted, object)
	g.know(object)
	g.endLater(object)
}

// endNow is end for an object that was parsed alone: nothing else is parsed before its
// note is away.
func (g *Guard) endNow(object string) {
	g.mu.Lock()
	delete(g.noted, object)
	g.know(object)
	g.ended = append(g.ended, object)
	g.mu.Unlock()
	g.endAll()
}

// endLater has notes taken away. g.mu is held.
func (g *Guard) endLater(object string) {
	g.ended = append(g.ended, object)
	if !g.ending {
		g.ending = true
		g.done.Go(g.endAll)
	}
}

// endAll takes notes away until there are none left to take. Those that stay because the
// store does not answer go with the next ones; until then they would count as deaths
// when the process dies.
func (g *Guard) endAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.ended) > 0 && g.store != nil {
		objects, store := g.ended, g.store
		g.ended = nil
		g.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), endWithin)
		err := store.EndParsing(ctx, g.holder, objects)
		cancel()
		g.mu.Lock()
		if err != nil {
			g.ended = append(g.ended, objects...)
			g.logger.Warn("notes of parsed objects stay in the store for now", slog.Int("objects", len(objects)), slog.Any("error", err))
			break
		}
	}
	g.ending = false
}

// place is what an object can take the place of another in.
func place(o gitops.ParsedObject) string { return string(o.Kind) + " " + o.Path }

// remember keeps a suspect in mind. g.mu is held.
func (g *Guard) remember(s gitops.Suspect) {
	if s.Kind != gitops.ParsedPast { // the past does not change
		g.suspects[place(s.ParsedObject)] = s
	}
}

// forgetOthers ends the suspicion of what the branch has no more: another object has its
// place.
func (g *Guard) forgetOthers(o gitops.ParsedObject) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, was := g.suspects[place(o)]; was && s.Object != o.Object && g.store != nil {
		delete(g.suspects, place(o))
		g.logger.Info("object no longer set aside: the branch has another in its place", slog.String("kind", string(s.Kind)),
			slog.String("path", s.Path), slog.String("object", s.Object))
		g.endLater(s.Object)
	}
}
