package message_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func Example() {
	request, err := message.Parse("<web1:frontend db1:store/FETCH_USER id=42")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(request.Command(), request.Get("id"))

	reply := request.Reply("USER").Set("id", request.Get("id")).Set("name", "Ada; Countess of Lovelace")
	text, err := reply.MarshalText()
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// FETCH_USER 42
	// web1:frontend/USER id=42;name="Ada; Countess of Lovelace" <nil>
}

func ExampleMessage_Err() {
	m := message.New("LOGIN").SetServer("web-1.example.com").Set("user", "ada")
	fmt.Println(m.Err())
	fmt.Println(errors.Is(m.Err(), message.ErrName))
	// Output:
	// message: server "web-1.example.com": not an address: letters, digits and underscores, no digit first, or one of . * ?
	// true
}

func ExampleMessage_Parameters() {
	m := message.New("CONFIG").Set("size", "10").Set("color", "red")
	for name, value := range m.Parameters() {
		fmt.Println(name, value)
	}
	// Output:
	// color red
	// size 10
}

func ExampleMessage_MarshalJSON() {
	m := message.New("USER").SetService("frontend").Set("id", "42").Set("name", "Ada")
	text, err := m.MarshalJSON()
	fmt.Printf("%s %v\n", text, err)

	// Parse takes either form.
	back, err := message.Parse(string(text))
	fmt.Println(back, err)
	// Output:
	// {"service":"frontend","command":"USER","parameters":{"id":"42","name":"Ada"}} <nil>
	// frontend/USER id=42;name=Ada <nil>
}

func ExampleGetInt() {
	m := message.New("RESIZE").SetInt("width", 640).Set("height", "70000")

	width, err := message.GetInt[uint16](m, "width")
	fmt.Println(width, err)
	_, err = message.GetInt[uint16](m, "height")
	fmt.Println(err)
	_, err = message.GetInt[uint16](m, "depth")
	fmt.Println(err, errors.Is(err, message.ErrMissing))
	// Output:
	// 640 <nil>
	// message: parameter "height": out of the range of uint16
	// message: parameter "depth": missing true
}

// Times, durations, booleans, bytes and addresses have a getter and a setter each.
func ExampleMessage_SetTime() {
	m := message.New("EVENT").
		SetTime("at", time.Date(2026, 7, 19, 8, 30, 0, 500_000_000, time.UTC)).
		SetDuration("took", 250*time.Millisecond).
		SetBool("ok", true).
		SetBytes("data", []byte{0, 1, 2})
	fmt.Println(m)

	at, err := m.GetTime("at")
	fmt.Println(at.UTC(), err)
	// Output:
	// EVENT at=1784449800.5;data=AAEC;ok=true;took=0.25
	// 2026-07-19 08:30:00.5 +0000 UTC <nil>
}

// A Parser says what is accepted: here JSON from a peer that is not trusted.
func ExampleParser() {
	parser := message.Parser{Form: message.FormJSON, MaxSize: 4096, MaxParameters: 2}
	for _, text := range []string{
		`{"command":"PING","parameters":{"a":1}}`,
		`{"command":"PING","parameters":{"a":1,"b":2,"c":3}}`,
		`PING a=1`,
	} {
		m, err := parser.Parse(text)
		switch {
		case errors.Is(err, message.ErrLimit):
			fmt.Println("too much:", err)
		case err != nil:
			fmt.Println("refused:", err)
		default:
			fmt.Println(m)
		}
	}
	// Output:
	// PING a=1
	// too much: message: at byte 44: more parameters than 2
	// refused: message: at byte 0: not a JSON object
}

// peer stands for a connection.
type peer struct {
	name   string
	closed bool
}

func (p peer) Send(m *message.Message) error {
	if p.closed {
		return errors.New(p.name + " is closed")
	}
	fmt.Println(p.name, "gets", m)
	return nil
}

func ExampleBroadcast() {
	peers := []peer{{name: "alpha"}, {name: "beta", closed: true}, {name: "gamma"}}
	sent, err := message.Broadcast(message.New("STOP"), slices.Values(peers))
	fmt.Println(sent, err)
	// Output:
	// alpha gets STOP
	// gamma gets STOP
	// 2 sender 1: beta is closed
}
