package message

// The fields of a message, as named by Error.Field.
const (
	fieldCommand         = "command"
	fieldServer          = "server"
	fieldService         = "service"
	fieldSentFromServer  = "sent_from_server"
	fieldSentFromService = "sent_from_service"
	fieldParameter       = "parameter"
)

const (
	reasonName    = "not a name: letters, digits and underscores, no digit first"
	reasonCommand = "not a command: capital letters, digits and underscores, no digit first"
	reasonAddress = "not an address: letters, digits and underscores, no digit first, or one of . * ?"
	reasonMissing = "missing"
)

// Byte classes of names.
const (
	capital = 1 << iota // also the underscore
	small
	digit
)

var nameClass = func() (class [256]uint8) {
	for c := 'A'; c <= 'Z'; c++ {
		class[c] = capital
	}
	class['_'] = capital
	for c := 'a'; c <= 'z'; c++ {
		class[c] = small
	}
	for c := '0'; c <= '9'; c++ {
		class[c] = digit
	}
	return class
}()

// isName reports whether s is a name of bytes of these classes. The empty string is one.
func isName(s string, classes uint8) bool {
	if s == "" {
		return true
	}
	if nameClass[s[0]] == digit {
		return false
	}
	for i := range len(s) {
		if nameClass[s[i]]&classes == 0 {
			return false
		}
	}
	return true
}

// checkCommand returns why s can't be a command, "" when it can.
func checkCommand(s string) (reason string) {
	switch {
	case s == "":
		return reasonMissing
	case !isName(s, capital|digit):
		return reasonCommand
	}
	return ""
}

// checkParameter returns why s can't name a parameter, "" when it can.
func checkParameter(s string) (reason string) {
	if s == "" {
		return reasonMissing
	}
	return checkSender(s)
}

// checkSender returns why s can't be the server or the service of a sender, "" when it can.
func checkSender(s string) (reason string) {
	if !isName(s, capital|small|digit) {
		return reasonName
	}
	return ""
}

// checkAddress returns why s can't be the server or the service of a destination, "" when it can.
func checkAddress(s string) (reason string) {
	if len(s) == 1 && (s[0] == '.' || s[0] == '*' || s[0] == '?') {
		return ""
	}
	if !isName(s, capital|small|digit) {
		return reasonAddress
	}
	return ""
}
