package definition_test

import (
	"errors"
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

func ExampleParse() {
	d, err := definition.Parse("FETCH_USER", "FETCH_USER.conf", []byte("[user-id]\ntype=integer\nflags=required\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range d.Parameters {
		fmt.Println(p.Name, p.Type, p.Required, p.Empty)
	}
	// Output: user_id integer true false
}

func ExampleFileError() {
	_, err := definition.Parse("FETCH_USER", "FETCH_USER.conf", []byte("[id]\ntype=int\nflags=required, empty\n"))
	fmt.Println(err)
	var first *definition.FileError
	if errors.As(err, &first) {
		fmt.Println(first.Line, first.Reason)
	}
	// Output:
	// FETCH_USER.conf:2: no such type: "int"
	// FETCH_USER.conf:3: no such flag: " empty"
	// 2 no such type: "int"
}

func ExampleFind() {
	_, err := definition.Find("/nonexistent", "FETCH_USER")
	fmt.Println(err)
	_, err = definition.Find("/nonexistent", "fetch-user")
	fmt.Println(err)
	// Output:
	// definition: no FETCH_USER.conf in "/nonexistent": file does not exist
	// definition: message: command "fetch-user": not a command: capital letters, digits and underscores, no digit first
}
