package definition

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// Type is what the value of a parameter has to be.
type Type uint8

// The types; see the package documentation.
const (
	String Type = iota
	Integer
	Address
	Timespec
)

var typeNames = [...]string{String: "string", Integer: "integer", Address: "address", Timespec: "timespec"}

// String returns the name of the type as in a file.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// Parameter is the definition of a parameter. Its zero value, with a name, is an optional string that is not empty.
type Parameter struct {
	Name        string
	Type        Type
	Required    bool   // it has to be there
	Empty       bool   // it may be empty, whatever its type
	Forbidden   bool   // it must not be there
	Description string // for people
}

// Definition is the definition of the messages of a command. It may be used by several goroutines at once, as long as
// none changes it.
type Definition struct {
	Command    string
	Parameters []Parameter  // problems are told in their order; those of a file are in the order of their names
	Closed     bool         // refuse parameters that are not among them
	Ignored    []*FileError // keys of the file that mean nothing, and may be misspelt
}

// Check returns nil, or an [*Error] with all that is wrong with the parameters of m. It does not look at the command.
func (d *Definition) Check(m *message.Message) error {
	return d.check(m, d.Closed)
}

func (d *Definition) check(m *message.Message, closed bool) error {
	var problems []*message.Error
	add := func(name, reason string, err error) {
		problems = append(problems, &message.Error{Offset: -1, Field: "parameter", Name: name, Reason: reason, Err: err})
	}
	for i := range d.Parameters {
		p := &d.Parameters[i]
		value, found := m.Lookup(p.Name)
		switch {
		case !found && p.Required:
			add(p.Name, "missing", message.ErrMissing)
		case !found:
		case p.Forbidden:
			add(p.Name, "not allowed", ErrForbidden)
		case value == "" && p.Empty:
		case value == "":
			add(p.Name, "empty", message.ErrValue)
		default:
			if reason := p.Type.wrong(m, p.Name, value); reason != "" {
				add(p.Name, reason, message.ErrValue)
			}
		}
	}
	if closed {
		for name := range m.Parameters() {
			if !d.lists(name) && !travels(name) {
				add(name, "not known", ErrNotListed)
			}
		}
	}
	if problems == nil {
		return nil
	}
	return &Error{Command: m.Command(), Problems: problems}
}

func (d *Definition) lists(name string) bool {
	return slices.ContainsFunc(d.Parameters, func(p Parameter) bool { return p.Name == name })
}

// travels reports whether a parameter is not the message's own: whoever passes it on may have added it.
func travels(name string) bool {
	return name == message.ParameterSecretCode || name == "cache" || strings.HasPrefix(name, "broadcast_")
}

// wrong returns why the value, which is not empty, is not of the type.
func (t Type) wrong(m *message.Message, name, value string) (reason string) {
	var err error
	switch t {
	case String:
	case Integer:
		_, err = message.GetInt[int64](m, name)
	case Timespec:
		_, err = m.GetTime(name)
	case Address:
		if _, err := m.GetAddrPort(name); err == nil || isAddress(value) {
			return ""
		}
		return "not an IP address"
	}
	if wrong := (*message.Error)(nil); errors.As(err, &wrong) {
		return wrong.Reason
	}
	return ""
}

// isAddress tells addresses without a port, without asking anybody: a name of a host is none.
func isAddress(s string) bool {
	if inner, found := strings.CutPrefix(s, "["); found {
		if s, found = strings.CutSuffix(inner, "]"); !found || !strings.Contains(s, ":") {
			return false
		}
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

// validate returns what is wrong with the definition itself.
func (d *Definition) validate() error {
	probe := message.New(d.Command)
	for i, p := range d.Parameters {
		probe.Set(p.Name, "")
		switch {
		case probe.Err() != nil:
		case slices.ContainsFunc(d.Parameters[:i], func(earlier Parameter) bool { return earlier.Name == p.Name }):
			return fmt.Errorf("definition: %s: parameter %q is there twice", d.Command, p.Name)
		case int(p.Type) >= len(typeNames):
			return fmt.Errorf("definition: %s: parameter %q: no such type: %v", d.Command, p.Name, p.Type)
		case p.Required && p.Forbidden:
			return fmt.Errorf("definition: %s: parameter %q: %s", d.Command, p.Name, reasonContradiction)
		}
	}
	if err := probe.Err(); err != nil {
		return fmt.Errorf("definition: %s: %w", d.Command, err)
	}
	return nil
}

const reasonContradiction = "both required and forbidden"
