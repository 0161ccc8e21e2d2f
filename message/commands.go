package message

// Commands that every service understands or sends. Package dispatcher handles the received ones.
const (
	CommandAbsolutely         = "ABSOLUTELY"          // reply to ALIVE
	CommandAlive              = "ALIVE"               // are you alive?
	CommandCommands           = "COMMANDS"            // reply to HELP
	CommandHelp               = "HELP"                // which commands do you understand?
	CommandInvalid            = "INVALID"             // a message was understood but refused
	CommandLeak               = "LEAK"                // report memory leaks
	CommandLogRotate          = "LOG_ROTATE"          // reopen the log files
	CommandQuitting           = "QUITTING"            // the other side is going away
	CommandReady              = "READY"               // the registration was accepted
	CommandRegister           = "REGISTER"            // a service presents itself
	CommandRestart            = "RESTART"             // restart
	CommandServiceUnavailable = "SERVICE_UNAVAILABLE" // nobody takes a message that was forwarded
	CommandStatus             = "STATUS"              // asks a service what it is doing
	CommandStatusReport       = "STATUS_REPORT"       // the answer to STATUS, with its text
	CommandStop               = "STOP"                // stop
	CommandUnknown            = "UNKNOWN"             // a command was not understood
	CommandUnregister         = "UNREGISTER"          // a service leaves
)

// Parameters of these commands.
const (
	ParameterCommand        = "command"         // INVALID, UNKNOWN: the command that was refused
	ParameterList           = "list"            // COMMANDS: commands separated by commas
	ParameterMessage        = "message"         // INVALID, UNKNOWN: text for people
	ParameterMyAddress      = "my_address"      // READY: the address of the receiver as others see it
	ParameterReason         = "reason"          // RESTART: "upgrade" or "config"
	ParameterText           = "text"            // STATUS_REPORT: text of several lines for people
	ParameterReplyTimestamp = "reply_timestamp" // ABSOLUTELY: seconds since 1970, a dot, nanoseconds
	ParameterSecretCode     = "secret_code"     // any datagram: the secret shared with the server
	ParameterSerial         = "serial"          // ALIVE, ABSOLUTELY: number chosen by the asker
	ParameterService        = "service"         // REGISTER, UNREGISTER: name of the service
	ParameterTimestamp      = "timestamp"       // ALIVE, ABSOLUTELY: time of the question
	ParameterVersion        = "version"         // REGISTER: version of the protocol, 1
)

// NewRegister returns the message with which a service presents itself to its peer: REGISTER with its name and the
// version of the protocol. A bad name is reported by [Message.Err].
func NewRegister(service string) *Message {
	return newOf(CommandRegister, service).SetVersion()
}

// NewUnregister returns the message with which a service takes its leave.
func NewUnregister(service string) *Message {
	return newOf(CommandUnregister, service)
}

func newOf(command, service string) *Message {
	m := New(command)
	if reason := checkParameter(service); reason != "" { // a name that is a value
		return m.refuse(fieldService, service, reason)
	}
	return m.Set(ParameterService, service)
}
