package simulation

import (
	"context"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// forgeLink is one replica's way to the forge. It belongs to the goroutine of the replica's
// room.
type forgeLink struct {
	*replica
	listed int // which list of open pull requests it was given last, as by an ETag
}

var errForgeAway = gitops.Errorf(gitops.Unavailable, "the forge does not answer")

// hang is how long a call waits for an answer that does not come.
const hang = 30 * time.Second

// onForge makes one call, which takes time, and may fail before or after it took effect.
func onForge[T any](ctx context.Context, l *forgeLink, call string, work func(f *pulls) (T, error)) (T, error) {
	var none T
	turn := l.chance.turn(l.name+"/forge "+call, 20*time.Millisecond)
	if l.gate(turn.detail); l.isDead() || l.networkCut.Load() {
		return none, errForgeAway
	}
	f := l.world.forgeHost
	err := f.refuses()
	applied := err == nil
	if turn.fault < l.networkFaults() && err == nil {
		switch turn.detail % 7 {
		case 0, 1:
			err, applied = errForgeAway, false
		case 2, 3:
			err = errForgeAway
		case 4:
			limited := gitops.Errorf(gitops.RateLimited, "the forge limits requests")
			limited.RetryAfter = time.Duration(turn.detail>>8%3) * 10 * time.Second
			err, applied = limited, false
			met.meet("the forge limited a call")
		case 5:
			err, applied = gitops.Errorf(gitops.Forbidden, "the forge refuses"), false
		default:
			err, applied = errForgeAway, turn.survives
			turn.back = hang
			met.meet("the forge hung")
		}
	}
	do := func() (answer T, err error) {
		f.ambushed()
		f.lock()
		defer f.unlock()
		answer, err = work(f)
		l.tell("%s: forge %s: %v", l.name, call, err)
		return answer, err
	}
	if !l.wait(ctx, turn.out) {
		if turn.survives && applied {
			time.AfterFunc(l.chance.alone(turn.back), func() { _, _ = do() }) // it was on its way already
		}
		l.gate(turn.detail)
		return none, errForgeAway
	}
	var answer T
	if applied {
		var did error
		if answer, did = do(); err == nil {
			err = did
		}
	}
	back := l.wait(ctx, turn.back)
	l.gate(turn.detail)
	if !back || l.isDead() {
		return none, errForgeAway
	}
	if err != nil {
		return none, err
	}
	return answer, nil
}

func (l *forgeLink) Pulls(ctx context.Context, branch string) ([]proposals.Pull, error) {
	return onForge(ctx, l, "pulls", func(f *pulls) ([]proposals.Pull, error) { return f.of(branch), nil })
}

// openList is a list of open pull requests.
type openList struct {
	open    []proposals.Pull
	changes int
}

func (l *forgeLink) Open(ctx context.Context) ([]proposals.Pull, bool, error) {
	list, err := onForge(ctx, l, "open", func(f *pulls) (openList, error) { return openList{f.allOpen(), f.changes + 1}, nil })
	if err != nil || list.changes == l.listed {
		return nil, false, err
	}
	l.listed = list.changes
	return list.open, true, nil
}

func (l *forgeLink) Get(ctx context.Context, number int) (proposals.Pull, error) {
	return onForge(ctx, l, "get", func(f *pulls) (proposals.Pull, error) { return f.get(number) })
}

func (l *forgeLink) Create(ctx context.Context, branch string, t proposals.Text) (proposals.Pull, error) {
	asked := sending{time.Now(), l.judgedPull.Load()}
	return onForge(ctx, l, "create", func(f *pulls) (proposals.Pull, error) {
		p, err := f.create(branch, t)
		if err == nil {
			l.check.opens(l.name, p, asked)
		}
		return p, err
	})
}

// change makes a call that only changes a pull request.
func (l *forgeLink) change(ctx context.Context, call string, number int, do func(f *pulls, p *pullRequest) error) error {
	_, err := onForge(ctx, l, call, func(f *pulls) (struct{}, error) {
		p := f.numbered(number)
		if p == nil {
			return struct{}{}, errNoPull
		}
		return struct{}{}, do(f, p)
	})
	return err
}

func (l *forgeLink) Edit(ctx context.Context, number int, t proposals.Text) error {
	return l.change(ctx, "edit", number, func(f *pulls, p *pullRequest) error {
		p.Text = t
		f.changes++
		return nil
	})
}

func (l *forgeLink) Close(ctx context.Context, number int) error {
	return l.change(ctx, "close", number, func(f *pulls, p *pullRequest) error {
		switch p.State {
		case proposals.PullMerged:
			return gitops.Errorf(gitops.Invalid, "the forge refuses: the pull request is merged")
		case proposals.PullOpen:
			f.end(p, proposals.PullClosed, ourLogin)
		}
		return nil
	})
}

func (l *forgeLink) Comment(ctx context.Context, number int, _ string) error {
	return l.change(ctx, "comment", number, func(*pulls, *pullRequest) error { return nil })
}

func (l *forgeLink) Arm(ctx context.Context, q proposals.Pull, t proposals.Text) error {
	asked := sending{time.Now(), l.judgedPull.Load()}
	return l.change(ctx, "arm", q.Number, func(f *pulls, p *pullRequest) error {
		switch {
		case p.State != proposals.PullOpen:
			return gitops.Errorf(gitops.Invalid, "the forge refuses: the pull request is %s", p.State)
		case p.Head != q.Head:
			met.meet("a pull request was armed at another head")
			return fmt.Errorf("arming: %w", proposals.ErrHeadMoved)
		case f.conflicts(p):
			return fmt.Errorf("arming: %w", proposals.ErrNotNow)
		}
		l.check.arms(l.name, p, asked)
		p.armedText, p.armedBy, p.judged = t, l.name, asked.judged
		f.arm(p)
		return nil
	})
}

func (l *forgeLink) Disarm(ctx context.Context, q proposals.Pull) error {
	return l.change(ctx, "disarm", q.Number, func(f *pulls, p *pullRequest) error {
		p.Armed, p.Queued = false, false
		f.changes++
		met.meet("a pull request was disarmed")
		return nil
	})
}

func (l *forgeLink) Rules(ctx context.Context, _ string) (proposals.Rules, error) {
	return onForge(ctx, l, "rules", func(*pulls) (proposals.Rules, error) { return l.proposing.rules, nil })
}
