package message_test

import (
	"errors"
	"fmt"

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
	// message: server "web-1.example.com": not a name: letters, digits and underscores, no digit first
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
