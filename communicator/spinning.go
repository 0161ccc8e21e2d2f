//go:build linux

package communicator

import "github.com/eventdispatcher-go/eventdispatcher/internal/sys"

// MaxFailing is how many callbacks in a row a source may have for a descriptor that is in error or hung up
// before it is removed: it could go on like that for ever, at the cost of a whole processor. One that clears the
// error, or reads some of what is left there, is not removed. A stream that has data to read at the end of its
// connection needs some hundred.
const MaxFailing = 10_000

// suspicion is how many of the last of these callbacks must have left the descriptor in error: one that is
// cleared may be followed at once by another.
const suspicion = 100

// minded removes a source that minds no error of its descriptor.
func (h *Handle) minded(inError bool) {
	if !inError {
		h.failing = 0
		return
	}
	h.pending &^= failed
	h.failing++
	if h.state&gone != 0 || h.failing < MaxFailing-suspicion {
		return
	}
	if !sys.InError(int(h.fd)) {
		h.failing = 0
		return
	}
	if h.failing < MaxFailing {
		return
	}
	h.failing = 0
	if h.extra == nil {
		h.extra = &extra{}
	}
	before := h.extra.unread
	h.extra.unread = sys.Unread(int(h.fd))
	if h.extra.unread == 0 || h.extra.unread == before {
		h.Remove(ErrSpinning)
	}
}
