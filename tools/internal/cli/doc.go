// Package cli is what the tools have in common, so that all of them behave alike: options, help, version, exit statuses,
// errors, logs, and completion in shells.
//
//	func main() { os.Exit(run(cli.System())) }
//
//	func run(env cli.Env) int {
//		tool := cli.New(cli.Config{Name: "demo", Help: help}, env)
//		limit := tool.Flags.IntP("limit", "l", 10, "how many are shown")
//		return tool.Run(func(args []string) error {
//			if len(args) == 0 {
//				return cli.Usagef("no file is named")
//			}
//			...
//		})
//	}
//
// # Manners
//
// Data goes to the standard output, all else to the standard error. An error is one line, tool: what: why, without
// control characters, whatever a peer or a file has put into it; what is wrong in a line of a file, Config.Placed, is
// file:line: why. Options are those of GNU: -l 5, -l5, --limit 5, --limit=5, also behind plain arguments; -- ends them.
// Each tool has --help, --version, --log-level, --log-file and --completion.
//
// A reader of the standard output that goes away is an error like a full disk.
//
// A tool that goes on after an error prints it with Tool.Report.
//
// The exit status is 0 when all is well, StatusBad when something isn't, and Config.UsageStatus when the command line
// is wrong.
//
// # Why pflag
//
// The options of GNU are what the users of shells expect, and what the tools of the C++ library have; package flag has
// neither -l5 nor options behind arguments. pflag is small and does nothing else; cobra and its like bring commands
// below commands, which no tool here has.
//
// A tool's main package tests itself with package tooltest. Nothing here is for services.
package cli
