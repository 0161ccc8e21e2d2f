package dispatcher

import (
	"maps"
	"slices"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// table is what a Mux knows. One that is in use is never changed, but replaced: only the mark of a removed match shows in
// both.
type table struct {
	exact    map[string][]*match // by command, none empty, each in the order in which they are tried
	others   []*match            // in the order in which they are tried
	unknown  message.Handler     // of HandleUnknown
	defaults message.Handler     // of AddDefaults
	number   uint64              // of the next match
}

// clone returns a table that may be changed, but for the lists in it.
func (t *table) clone() *table {
	c := *t
	if c.exact = maps.Clone(t.exact); c.exact == nil {
		c.exact = map[string][]*match{}
	}
	return &c
}

// add adds a match after those of the same priority.
func (t *table) add(m *match) {
	m.number = t.number
	t.number++
	if m.isExact() {
		t.exact[m.Command] = insert(t.exact[m.Command], m)
	} else {
		t.others = insert(t.others, m)
	}
}

func insert(list []*match, m *match) []*match {
	at, _ := slices.BinarySearchFunc(list, m, before)
	return slices.Insert(slices.Clone(list), at, m)
}

// remove removes what f picks, and returns it.
func (t *table) remove(f func(*match) bool) (removed []*match) {
	pick := func(list []*match) []*match {
		return slices.DeleteFunc(slices.Clone(list), func(m *match) bool {
			picked := f(m)
			if picked {
				m.removed.Store(true)
				removed = append(removed, m)
			}
			return picked
		})
	}
	for command, list := range t.exact {
		if t.exact[command] = pick(list); len(t.exact[command]) == 0 {
			delete(t.exact, command)
		}
	}
	t.others = pick(t.others)
	return removed
}

// taker returns a match that takes all that a new one of this command, or pattern, and priority is to get. It does not know
// what regular expressions and functions match.
func (t *table) taker(command string, p Priority) *match {
	takes := func(m *match) bool {
		if m.Command == "" || m.Observer || m.Priority > p {
			return false
		}
		// A pattern includes another if it matches the text of it, unless its ? would stand for a *.
		return m.Command == command ||
			wildcard(m.Command, command) && !(strings.Contains(m.Command, "?") && strings.Contains(command, "*"))
	}
	for _, list := range [][]*match{t.exact[command], t.others} {
		if i := slices.IndexFunc(list, takes); i >= 0 {
			return list[i]
		}
	}
	return nil
}

// search yields the matches of a message in their order.
type search struct {
	message *message.Message
	table   *table
	exact   []*match
	others  []*match
	last    *match // that was yielded
	skipped bool   // because it is removed
}

// start begins a search, or goes on in another table, behind the last match.
func (s *search) start(t *table, m *message.Message) {
	s.message, s.table, s.skipped = m, t, false
	s.exact, s.others = t.exact[m.Command()], t.others
	if s.last != nil {
		s.exact, s.others = behind(s.exact, s.last), behind(s.others, s.last)
	}
}

func behind(list []*match, m *match) []*match {
	at, found := slices.BinarySearchFunc(list, m, before)
	if found {
		at++
	}
	return list[at:]
}

// next returns the next match, nil when there is none.
func (s *search) next() *match {
	for len(s.exact) > 0 || len(s.others) > 0 {
		var m *match
		if len(s.others) == 0 || len(s.exact) > 0 && before(s.exact[0], s.others[0]) < 0 {
			m, s.exact = s.exact[0], s.exact[1:]
		} else {
			m, s.others = s.others[0], s.others[1:]
			if !m.removed.Load() && !m.wants(s.message) {
				continue
			}
		}
		if m.removed.Load() {
			s.skipped = true
			continue
		}
		s.last = m
		return m
	}
	return nil
}
