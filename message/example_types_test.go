package message_test

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func ExampleError() {
	_, err := message.Parse("FETCH_USER id=42;full-name=yes")
	var wrong *message.Error
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Offset, wrong.Field, wrong.Name, errors.Is(err, message.ErrName))
	}
	fmt.Println(err)
	// Output:
	// 17 parameter full-name true
	// message: parameter "full-name" at byte 17: not a name: letters, digits and underscores, no digit first
}

func ExampleCoverage() {
	var coverage message.Coverage // for the Config of a dispatcher and of connections
	for _, command := range []string{"FETCH", "FETCH", "STOP"} {
		coverage.AddReceived(message.New(command))
	}
	coverage.AddSent(message.New("USER"))

	received := coverage.Received()
	for _, command := range []string{"FETCH", "STORE", "STOP"} {
		if received[command] == 0 {
			fmt.Println("no test sends", command)
		}
	}
	fmt.Println(coverage.Sent())
	// Output:
	// no test sends STORE
	// map[USER:1]
}

func ExampleJSONOptions() {
	m := message.New("TEMPERATURE").Set("celsius", "21.5").Set("room", "kitchen").SetBool("window_open", true)
	for _, numbers := range []bool{false, true} {
		text, err := m.AppendJSON(nil, message.JSONOptions{Numbers: numbers})
		if err != nil {
			fmt.Println(err)
		}
		fmt.Printf("%s\n", text)
	}
	// Output:
	// {"command":"TEMPERATURE","parameters":{"celsius":"21.5","room":"kitchen","window_open":"true"}}
	// {"command":"TEMPERATURE","parameters":{"celsius":21.5,"room":"kitchen","window_open":true}}
}

func ExampleFormOf() {
	for _, line := range []string{"PING", ` {"command":"PING"}`, "neither, nor"} {
		fmt.Println(message.FormOf([]byte(line)))
	}
	// Output:
	// text
	// json
	// text
}

func ExampleHandlerFunc() {
	var h message.Handler = message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		fmt.Println("got", m)
		return nil
	})
	if err := h.HandleMessage(nil, message.New("PING")); err != nil {
		fmt.Println(err)
	}
	// Output: got PING
}

func ExampleNewRegister() {
	fmt.Println(message.NewRegister("store"))
	fmt.Println(message.NewUnregister("store"))
	fmt.Println(message.NewRegister("my-store").Err())
	// Output:
	// REGISTER service=store;version=1
	// UNREGISTER service=store
	// message: service "my-store": not a name: letters, digits and underscores, no digit first
}

func ExampleMessage_SetAddrPort() {
	m := message.New("READY").SetAddrPort(message.ParameterMyAddress, netip.MustParseAddrPort("[2001:db8::1]:4040"))
	address, err := m.GetAddrPort(message.ParameterMyAddress)
	fmt.Println(m, address.Port(), err)
	// Output: READY my_address=[2001:db8::1]:4040 4040 <nil>
}

func ExampleMessage_SetBytes() {
	m := message.New("ICON").SetBytes("png", []byte{0x89, 'P', 'N', 'G', 0})
	png, err := m.GetBytes("png")
	fmt.Printf("%v %q %v\n", m, png, err)
	// Output: ICON png=iVBORwA= "\x89PNG\x00" <nil>
}

func ExampleBadValue() {
	m := message.New("ORDER").SetInt("count", -3)
	count, err := message.GetInt[int](m, "count")
	if err == nil && count < 1 {
		err = message.BadValue("count", "nothing is ordered")
	}
	fmt.Println(err) // a handler returns it, and the dispatcher answers INVALID
	// Output: message: parameter "count": nothing is ordered
}
