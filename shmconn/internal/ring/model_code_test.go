package ring_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// The model of model_machine_test.go runs the code below: that of Reader and Writer, word for word, which TestModelCode
// holds. Only what the names stand for differs: a word is one of the model's memory, so that each Load and Store is a
// step, after which it can be the other side's turn; and the data is nothing but its length. Next, Reserve and Commit,
// which work on the data, are mirrored by next and reserve of model_sides_test.go, line by line.
type (
	modelReader struct {
		released, asleep          word
		published, waiting, ended word

		data                                  string
		next, last, freed, seen, rung, sleeps uint64
		held                                  int
	}

	modelWriter struct {
		published, waiting, ended word
		released, asleep          word

		data                            string
		next, shown, freed, rung, waits uint64
		want                            int
	}

	CorruptError = ring.CorruptError
)

const (
	wordSize  = 8
	EndReset  = ring.EndReset
	copiedOut = "model_code_test.go"
)

func (r *modelReader) Look() error {
	published := r.published.Load()
	if published%wordSize != 0 || published-r.freed > uint64(len(r.data)) || published-r.freed < r.seen-r.freed {
		return &CorruptError{What: "published", Value: published, At: r.next}
	}
	r.seen = published
	return nil
}

func (r *modelReader) Release() { r.release(r.next, 0) }

func (r *modelReader) ReleaseOthers() {
	if r.held > 0 {
		r.release(r.last, 1)
	}
}

func (r *modelReader) release(to uint64, held int) {
	r.held = held
	if r.freed != to {
		r.freed = to
		r.released.Store(to)
	}
}

func (r *modelReader) Wakes(now bool) bool {
	waiting := r.waiting.Load()
	if waiting&1 == 0 || waiting == r.rung {
		return false
	}
	if !now && int(r.seen-r.next) > len(r.data)/2 {
		return false
	}
	r.rung = waiting
	return true
}

func (r *modelReader) Left() bool { return r.next != r.seen || r.published.Load() != r.seen }

func (r *modelReader) More() bool {
	return r.Left() || r.ended.Load() != 0
}

func (r *modelReader) Sleep() (more bool) {
	if r.sleeps&1 == 0 {
		r.sleeps++
		r.asleep.Store(r.sleeps)
	}
	if !r.More() {
		return false
	}
	r.Awake()
	return true
}

func (r *modelReader) Awake() {
	if r.sleeps&1 == 1 {
		r.sleeps++
		r.asleep.Store(r.sleeps)
	}
}

func (r *modelReader) Ended() (how uint64, err error) {
	how = r.ended.Load()
	if how == 0 {
		return 0, nil
	}
	if how > EndReset {
		return 0, &CorruptError{What: "ended", Value: how, At: r.next}
	}
	if err := r.Look(); err != nil || r.next != r.seen {
		return 0, err
	}
	return how, nil
}

func (w *modelWriter) Lack(count uint64) { w.want = len(w.data) - int(w.next-count) }

func (w *modelWriter) look() error {
	released := w.released.Load()
	if released%wordSize != 0 || released-w.freed > w.shown-w.freed {
		return &CorruptError{What: "released", Value: released, At: w.shown}
	}
	w.freed = released
	return nil
}

func (w *modelWriter) free(need int) (int, error) {
	free := len(w.data) - int(w.next-w.freed)
	if free >= need {
		return free, nil
	}
	if err := w.look(); err != nil {
		return 0, err
	}
	return len(w.data) - int(w.next-w.freed), nil
}

func (w *modelWriter) Unpublished() bool { return w.next != w.shown }

func (w *modelWriter) Publish() (ring bool) {
	if w.next == w.shown {
		return false
	}
	w.shown = w.next
	w.published.Store(w.next)
	return w.wakes()
}

func (w *modelWriter) wakes() bool {
	asleep := w.asleep.Load()
	if asleep&1 == 0 || asleep == w.rung {
		return false
	}
	w.rung = asleep
	return true
}

func (w *modelWriter) Wait() (room bool, err error) {
	if w.waits&1 == 0 {
		w.waits++
		w.waiting.Store(w.waits)
	}
	if room, err = w.Room(); room {
		w.Waited()
	}
	return room, err
}

func (w *modelWriter) Room() (bool, error) {
	free, err := w.free(w.want)
	return err == nil && free >= w.want, err
}

func (w *modelWriter) Waited() {
	if w.waits&1 == 1 {
		w.waits++
		w.waiting.Store(w.waits)
	}
}

func (w *modelWriter) End(how uint64) (ring bool) {
	w.published.Store(w.next)
	w.shown = w.next
	w.ended.Store(how)
	return w.wakes()
}

// TestModelCode holds that the methods above are those of the package, and that the model leaves out none that loads or
// stores a word of a header.
func TestModelCode(t *testing.T) {
	copies := methods(t, copiedOut, map[string]string{"modelReader": "Reader", "modelWriter": "Writer"})
	if len(copies) == 0 {
		t.Fatal("there are no methods in " + copiedOut)
	}
	checked := 0
	for _, file := range []string{"reader.go", "writer.go"} {
		for name, source := range methods(t, file, map[string]string{"Reader": "Reader", "Writer": "Writer"}) {
			switch copied, ok := copies[name]; {
			case ok && copied != source:
				t.Errorf("the model runs another %s than %s has:\n%s\nIt should be\n%s", name, file, copied, source)
			case ok:
				checked++
			case bytes.Contains([]byte(source), []byte(".Load()")), bytes.Contains([]byte(source), []byte(".Store(")):
				t.Errorf("the model lacks %s of %s, which uses words of the header", name, file)
			}
		}
	}
	if checked != len(copies) {
		t.Errorf("%d methods of the model have one in the package, of %d", checked, len(copies))
	}
}

// methods returns the methods of a file by their type, which it may call otherwise, and name: signature and body,
// without comments.
func methods(t *testing.T, file string, types map[string]string) map[string]string {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv == nil {
			continue
		}
		star, ok := f.Recv.List[0].Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		name, ok := types[star.X.(*ast.Ident).Name]
		if !ok {
			continue
		}
		f.Recv = nil
		var text bytes.Buffer
		// A new set of files has no lines, so that how it was laid out doesn't count.
		if err := printer.Fprint(&text, token.NewFileSet(), f); err != nil {
			t.Fatal(err)
		}
		found[name+"."+f.Name.Name] = text.String()
	}
	return found
}
