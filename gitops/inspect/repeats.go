package inspect

import (
	"container/heap"
	"time"
)

// repeats are looks that are to be asked again, as a heap: the first is due first.
type repeats []*look

func (h *repeats) add(l *look, due time.Time) {
	l.place, l.due = inRepeats, due
	heap.Push(h, l)
}

func (h *repeats) remove(l *look) {
	heap.Remove(h, l.index)
	l.place = idle
}

func (h *repeats) move(l *look, due time.Time) {
	l.due = due
	heap.Fix(h, l.index)
}

// Len implements heap.Interface.
func (h repeats) Len() int { return len(h) }

// Less implements heap.Interface.
func (h repeats) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

// Swap implements heap.Interface.
func (h repeats) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *repeats) Push(l any) {
	l.(*look).index = len(*h)
	*h = append(*h, l.(*look))
}

// Pop implements heap.Interface.
func (h *repeats) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return l
}
