package message

import (
	"encoding"
	"encoding/json"
	"fmt"
	"strings"
)

var (
	_ encoding.TextUnmarshaler = (*Message)(nil)
	_ json.Unmarshaler         = (*Message)(nil)
)

// The limits of a [Parser] whose own are zero.
const (
	DefaultMaxSize       = 1 << 20 // bytes
	DefaultMaxParameters = 1000
	DefaultMaxName       = 255 // bytes
)

// Form is one of the forms of a message.
type Form uint8

// The forms.
const (
	FormAuto Form = iota // JSON if it begins with a brace, which no text form does, else text
	FormText
	FormJSON
)

// String returns "auto", "text" or "json".
func (f Form) String() string {
	switch f {
	case FormAuto:
		return "auto"
	case FormText:
		return "text"
	case FormJSON:
		return "json"
	}
	return fmt.Sprintf("Form(%d)", uint8(f))
}

// FormOf returns FormJSON or FormText, whichever [Parse] takes text for. It says nothing about whether that is a message.
func FormOf(text []byte) Form {
	for _, c := range text {
		if textClass[c]&blank != 0 {
			continue
		}
		if c == '{' {
			return FormJSON
		}
		break
	}
	return FormText
}

// Parser says what is accepted as a message. The zero Parser is what [Parse] uses. It may be used by several
// goroutines at once.
type Parser struct {
	// Form is the form to accept. Zero: either.
	Form Form
	// Lenient accepts the names that the C++ library accepts: any command, server and service that is not empty,
	// and in JSON any name of a parameter. What can't be written again, [Message.AppendText] refuses.
	Lenient bool
	// MaxSize is the most bytes of a message. Zero: DefaultMaxSize, 1 MiB; negative: no limit.
	MaxSize int
	// MaxParameters is the most parameters, counting those that replace an earlier one of the same name. Zero:
	// DefaultMaxParameters, 1000; negative: no limit.
	MaxParameters int
	// MaxName is the most bytes of a name: of the command, a server, a service or a parameter, but not of a key in
	// JSON that is ignored. Zero: DefaultMaxName, 255; negative: no limit.
	MaxName int
}

// Parse reads a message in the text form or in JSON, whichever it is, within the default limits. White space
// around it is ignored, a line feed included. The error is an [*Error] around [ErrEmpty], [ErrSyntax],
// [ErrName] or [ErrLimit]. The message keeps text in memory.
func Parse(text string) (*Message, error) {
	var p Parser
	return p.Parse(text)
}

// Parse is the function [Parse] with the settings of p.
func (p *Parser) Parse(text string) (*Message, error) {
	if most := limit(p.MaxSize, DefaultMaxSize); len(text) > most {
		return nil, sizeError(most)
	}
	m := new(Message)
	if err := p.parse(m, text); err != nil {
		return nil, err
	}
	return m, nil
}

// ParseBytes is [Parser.Parse] of a copy of text.
func (p *Parser) ParseBytes(text []byte) (*Message, error) {
	if most := limit(p.MaxSize, DefaultMaxSize); len(text) > most {
		return nil, sizeError(most) // before it is copied
	}
	m := new(Message)
	if err := p.parse(m, string(text)); err != nil {
		return nil, err
	}
	return m, nil
}

// UnmarshalText makes m what [Parse] reads from a copy of text. On an error m is unchanged.
func (m *Message) UnmarshalText(text []byte) error {
	var p Parser
	return m.unmarshal(&p, text)
}

// UnmarshalJSON makes m what the JSON text holds, within the default limits; null leaves m unchanged, as an error
// does.
func (m *Message) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil // what encoding/json asks for
	}
	p := Parser{Form: FormJSON}
	return m.unmarshal(&p, text)
}

func (m *Message) unmarshal(p *Parser, text []byte) error {
	if most := limit(p.MaxSize, DefaultMaxSize); len(text) > most {
		return sizeError(most)
	}
	var fresh Message
	if err := p.parse(&fresh, string(text)); err != nil {
		return err
	}
	m.take(&fresh)
	return nil
}

// parse reads text into the zero Message.
func (p *Parser) parse(m *Message, text string) error {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return syntaxError(i, "a NUL byte")
	}
	start, end := 0, len(text)
	for start < end && textClass[text[end-1]]&blank != 0 {
		end--
	}
	for start < end && textClass[text[start]]&blank != 0 {
		start++
	}
	if start == end {
		return &Error{Offset: -1, Reason: "no text", Err: ErrEmpty}
	}
	text = text[:end]

	r := reader{
		message:       m,
		lenient:       p.Lenient,
		maxName:       limit(p.MaxName, DefaultMaxName),
		maxParameters: limit(p.MaxParameters, DefaultMaxParameters),
		sorted:        true,
	}
	var err error
	switch isObject := text[start] == '{'; {
	case isObject && p.Form != FormText:
		err = r.parseJSON(text, start)
	case p.Form == FormJSON:
		err = syntaxError(start, "not a JSON object")
	default:
		err = r.parseText(text, start)
	}
	if err == nil && !r.sorted {
		m.sort()
	}
	return err
}

// limit returns a limit as set, or its default.
func limit(set, byDefault int) int {
	switch {
	case set == 0:
		return byDefault
	case set < 0:
		return int(^uint(0) >> 1)
	}
	return set
}

// reader fills a message with what it is given, if that keeps the rules.
type reader struct {
	message       *Message
	lenient       bool
	maxName       int
	maxParameters int

	parameters int    // that were added, the replaced ones included
	previous   string // the name of the last one
	sorted     bool   // so far each name came after the one before
}

// The offset of each setter is where the name stands in the text; an empty name is one that is not there.

func (r *reader) setCommand(offset int, name string) error {
	if name == "" {
		return nameError(offset, fieldCommand, name, reasonMissing)
	}
	r.message.command = name
	return r.check(offset, fieldCommand, name, checkCommand(name))
}

func (r *reader) setServer(offset int, name string) error {
	r.message.server = name
	return r.check(offset, fieldServer, name, checkAddress(name))
}

func (r *reader) setService(offset int, name string) error {
	r.message.service = name
	return r.check(offset, fieldService, name, checkAddress(name))
}

func (r *reader) setSentFromServer(offset int, name string) error {
	r.message.sentFromServer = name
	return r.check(offset, fieldSentFromServer, name, checkSender(name))
}

func (r *reader) setSentFromService(offset int, name string) error {
	r.message.sentFromService = name
	return r.check(offset, fieldSentFromService, name, checkSender(name))
}

// addParameter adds a parameter unless there is a reason why its name is not allowed.
func (r *reader) addParameter(offset int, name, reason, value string) error {
	if r.parameters == r.maxParameters {
		return &Error{Offset: offset, Reason: fmt.Sprintf("more parameters than %d", r.maxParameters), Err: ErrLimit}
	}
	if err := r.check(offset, fieldParameter, name, reason); err != nil {
		return err
	}
	r.sorted = r.sorted && (r.previous < name || r.parameters == 0)
	r.previous = name
	r.parameters++
	r.message.insert(r.message.Len(), parameter{name, value})
	return nil
}

// check makes an error of the reason why a name is not allowed, and of one that is too long.
func (r *reader) check(offset int, field, name, reason string) error {
	if len(name) > r.maxName {
		return &Error{
			Offset: offset, Field: field, Name: name,
			Reason: fmt.Sprintf("longer than %d bytes", r.maxName), Err: ErrLimit,
		}
	}
	if reason == "" {
		return nil
	}
	if r.lenient {
		r.message.loose = true
		return nil
	}
	return nameError(offset, field, name, reason)
}

func syntaxError(offset int, reason string) error {
	return &Error{Offset: offset, Reason: reason, Err: ErrSyntax}
}

func nameError(offset int, field, name, reason string) error {
	return &Error{Offset: offset, Field: field, Name: name, Reason: reason, Err: ErrName}
}

func sizeError(most int) error {
	return &Error{Offset: most, Reason: fmt.Sprintf("longer than %d bytes", most), Err: ErrLimit}
}
