package definition_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

func ExampleSet_Check() {
	var definitions definition.Set
	err := definitions.Add(&definition.Definition{
		Command: "FETCH_USER",
		Parameters: []definition.Parameter{
			{Name: "fields", Empty: true},
			{Name: "id", Type: definition.Integer, Required: true},
		},
		Closed: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, text := range []string{"FETCH_USER id=42;fields=", "FETCH_USER id=ada;field=name"} {
		m, err := message.Parse(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		err = definitions.Check(m)
		fmt.Println(err)

		var wrong *definition.Error
		if errors.As(err, &wrong) {
			for _, p := range wrong.Problems {
				fmt.Println("-", p.Name, errors.Is(p, definition.ErrNotListed))
			}
		}
	}
	// Output:
	// <nil>
	// definition: FETCH_USER: parameter "id": not an integer; parameter "field": not known
	// - id false
	// - field true
}

func ExampleLoad() {
	folder, err := os.MkdirTemp("", "messages")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	const text = `# Answered by USER.
[id]
description = the number of the user
type = integer
flags = required

[fields]
description = what to fetch, separated by semicolons
flags = empty
`
	if err := os.WriteFile(filepath.Join(folder, "FETCH_USER.conf"), []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	definitions, err := definition.Load(definition.Config{Path: folder})
	if err != nil {
		fmt.Println(err) // each problem of each file in a line
		return
	}
	fmt.Println(definitions.Check(message.New("FETCH_USER").Set("id", "0x2A")))
	fmt.Println(definitions.Check(message.New("FETCH_USER")))
	fmt.Println(definitions.Check(message.New("COMMANDS"))) // built in
	// Output:
	// <nil>
	// definition: FETCH_USER: parameter "id": missing
	// definition: COMMANDS: parameter "list": missing
}
