package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// The bounds of what a server says before TLS.
const (
	maxLine  = 4096
	maxLines = 100
)

var (
	errNotOffered = errors.New("the server does not offer STARTTLS")
	errLineLength = fmt.Errorf("the server sends a line longer than %d bytes", maxLine)
	errLines      = fmt.Errorf("the server sends more than %d lines for an answer", maxLines)
	errTooEarly   = errors.New("the server goes on in plain text after it agreed to TLS")
)

// protocol is one that begins in plain text and goes over to TLS.
type protocol struct {
	port  string
	start func(*talk) error // brings the server to where it waits for TLS
	bye   string            // ends the session, which a server would log otherwise
}

// protocols are those of --starttls.
func protocols() map[string]protocol {
	return map[string]protocol{
		"smtp": {port: "25", start: startSMTP, bye: "QUIT\r\n"},       // RFC 3207
		"imap": {port: "143", start: startIMAP, bye: "a2 LOGOUT\r\n"}, // RFC 9051, section 6.2.1
		"pop3": {port: "110", start: startPOP3, bye: "QUIT\r\n"},      // RFC 2595, section 4
	}
}

func protocolNames() []string { return slices.Sorted(maps.Keys(protocols())) }

// talk is a connection before TLS.
type talk struct {
	conn net.Conn
	in   *bufio.Reader
}

func newTalk(conn net.Conn) *talk { return &talk{conn: conn, in: bufio.NewReaderSize(conn, maxLine)} }

// startTLS brings a server to where it waits for TLS.
func startTLS(conn net.Conn, p protocol) error {
	t := newTalk(conn)
	if err := p.start(t); err != nil {
		return err
	}
	if t.in.Buffered() != 0 {
		return errTooEarly // what is read here would be missing from TLS
	}
	return nil
}

// line reads one, without its end.
func (t *talk) line() (string, error) {
	line, err := t.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errLineLength
	}
	return strings.TrimRight(string(line), "\r\n"), err
}

func (t *talk) send(line string) error {
	_, err := io.WriteString(t.conn, line+"\r\n")
	return err
}

// unexpected is the error of an answer that isn't the one that was hoped for.
func unexpected(to, answer string) error {
	return fmt.Errorf("the server answers %s with %q", to, answer)
}

// reply reads a reply of SMTP. Each line has the code, and a dash after it unless it is the last.
func (t *talk) reply(to, code string) (lines []string, err error) {
	for range maxLines {
		line, err := t.line()
		if err != nil {
			return nil, err
		}
		rest, good := strings.CutPrefix(line, code)
		if !good || rest != "" && rest[0] != '-' && rest[0] != ' ' {
			return nil, unexpected(to, line)
		}
		if rest == "" || rest[0] == ' ' {
			return append(lines, strings.TrimSpace(rest)), nil
		}
		lines = append(lines, strings.TrimSpace(rest[1:]))
	}
	return nil, errLines
}

func startSMTP(t *talk) error {
	if _, err := t.reply("a connection", "220"); err != nil {
		return err
	}
	if err := t.send("EHLO " + literal(t.conn.LocalAddr())); err != nil {
		return err
	}
	offers, err := t.reply("EHLO", "250")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(offers, func(offer string) bool { return strings.EqualFold(offer, "STARTTLS") }) {
		return errNotOffered
	}
	if err := t.send("STARTTLS"); err != nil {
		return err
	}
	_, err = t.reply("STARTTLS", "220")
	return err
}

// literal is an address as a client without a name gives it to EHLO (RFC 5321, section 4.1.3).
func literal(local net.Addr) string {
	address, err := netip.ParseAddrPort(local.String())
	switch ip := address.Addr().Unmap(); {
	case err != nil:
		return "localhost"
	case ip.Is4():
		return "[" + ip.String() + "]"
	default:
		return "[IPv6:" + ip.WithZone("").String() + "]"
	}
}

func startIMAP(t *talk) error {
	greeting, err := t.line()
	if err != nil {
		return err
	}
	if !hasWord(greeting, "* OK") {
		return unexpected("a connection", greeting)
	}
	if err := t.send("a1 STARTTLS"); err != nil {
		return err
	}
	for range maxLines {
		switch line, err := t.line(); {
		case err != nil:
			return err
		case strings.HasPrefix(line, "*"): // for whom nothing was asked
		case hasWord(line, "a1 OK"):
			return nil
		case hasWord(line, "a1 NO"), hasWord(line, "a1 BAD"):
			return errNotOffered
		default:
			return unexpected("STARTTLS", line)
		}
	}
	return errLines
}

func startPOP3(t *talk) error {
	greeting, err := t.line()
	if err != nil {
		return err
	}
	if !hasWord(greeting, "+OK") {
		return unexpected("a connection", greeting)
	}
	if err := t.send("STLS"); err != nil {
		return err
	}
	switch answer, err := t.line(); {
	case err != nil:
		return err
	case hasWord(answer, "+OK"):
		return nil
	case hasWord(answer, "-ERR"):
		return errNotOffered
	default:
		return unexpected("STLS", answer)
	}
}

// hasWord tells whether a line begins with words, in whatever case.
func hasWord(line, words string) bool {
	rest, more := line, len(line) > len(words)
	if more {
		line, rest = line[:len(words)], line[len(words):]
	}
	return strings.EqualFold(line, words) && (!more || rest[0] == ' ')
}
