package benchmarks_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// envelope is fetchUser as a struct for package encoding/json.
type envelope struct {
	SentFromServer  string     `json:"sent-from-server"`
	SentFromService string     `json:"sent-from-service"`
	Server          string     `json:"server"`
	Service         string     `json:"service"`
	Command         string     `json:"command"`
	Parameters      parameters `json:"parameters"`
}

type parameters struct {
	City    string `json:"city"`
	ID      string `json:"id"`
	Lang    string `json:"lang"`
	Limit   string `json:"limit"`
	Session string `json:"session"`
}

var fetchUserStruct = envelope{
	"web1", "frontend", "db1", "store", "FETCH_USER", parameters{"Berlin", "100042", "de", "10", "a81f5c"},
}

// BenchmarkJSONWrite writes the same content as JSON: the message, and a struct with
// package encoding/json.
func BenchmarkJSONWrite(b *testing.B) {
	m, err := message.Parse(fetchUser)
	if err != nil {
		b.Fatal(err)
	}
	want, err := json.Marshal(fetchUserStruct)
	if err != nil {
		b.Fatal(err)
	}
	for name, write := range map[string]func() ([]byte, error){
		"Message":      func() ([]byte, error) { return m.AppendJSON(nil, message.JSONOptions{}) },
		"EncodingJSON": func() ([]byte, error) { return json.Marshal(&fetchUserStruct) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var text []byte
			for b.Loop() {
				if text, err = write(); err != nil {
					b.Fatal(err)
				}
			}
			if string(text) != string(want) {
				b.Fatalf("got %s", text)
			}
		})
	}
}

// BenchmarkJSONRead reads what BenchmarkJSONWrite writes.
func BenchmarkJSONRead(b *testing.B) {
	text, err := json.Marshal(fetchUserStruct)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Message", func(b *testing.B) {
		var parser message.Parser
		var m *message.Message
		b.ReportAllocs()
		for b.Loop() {
			if m, err = parser.ParseBytes(text); err != nil {
				b.Fatal(err)
			}
		}
		if m.String() != fetchUser {
			b.Fatalf("got %v", m)
		}
	})
	b.Run("EncodingJSON", func(b *testing.B) {
		var got envelope
		b.ReportAllocs()
		for b.Loop() {
			got = envelope{}
			if err := json.Unmarshal(text, &got); err != nil {
				b.Fatal(err)
			}
		}
		if !reflect.DeepEqual(got, fetchUserStruct) {
			b.Fatalf("got %v", got)
		}
	})
}
