package message_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestRecordedWriteJSON(t *testing.T) {
	for _, c := range readLines[writeCase](t, "write_json") {
		t.Run(c.Name, func(t *testing.T) {
			m := c.Input.build()
			text, err := m.AppendJSON(nil, message.JSONOptions{Numbers: true})
			compare(t, "write_json", c.Name, c.recorded(), result{text: string(text), err: err})
			if c.ErrorStage != "" && !errors.Is(err, message.ErrName) {
				t.Errorf("got %v, want ErrName", err)
			}
			if err == nil {
				checkJSONReadBack(t, m)
			}
		})
	}
}

func TestRecordedRoundTripJSON(t *testing.T) {
	for _, c := range readLines[roundTripCase](t, "roundtrip_json") {
		t.Run(c.Name, func(t *testing.T) {
			m := c.build()
			text, err := m.AppendJSON(nil, message.JSONOptions{Numbers: true})
			compare(t, "roundtrip_json", c.Name, result{text: string(c.Wire)}, result{text: string(text), err: err})
			if err == nil {
				checkJSONReadBack(t, m)
			}
		})
	}
}

// checkJSONReadBack writes m, which JSON can carry, and reads it back, here and with package encoding/json.
func checkJSONReadBack(t *testing.T, m *message.Message) {
	t.Helper()
	for _, options := range []message.JSONOptions{{}, {Numbers: true}} {
		text, err := m.AppendJSON(nil, options)
		if err != nil {
			t.Fatal(err)
		}
		// Into any, so that package encoding/json also tries to hold the numbers.
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if back, err := message.Parse(string(text)); err != nil || !back.Equal(arriving(m)) {
			t.Errorf("%s is read as %v, %v", text, back, err)
		}
	}
}
