package cli_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const help = `Usage: sum [options] NUMBER...

Add numbers.

  -x, --hex                 print the sum in hexadecimal
  -h, --help; -V, --version
      --log-level LEVEL, --log-file FILE, --completion SHELL

Examples:
  sum 1 2 3
`

// sum is a whole tool.
func sum(env cli.Env) (status int) {
	tool := cli.New(cli.Config{Name: "sum", Help: help, Variable: "SUM"}, env)
	hex := tool.Flags.BoolP("hex", "x", false, "print the sum in hexadecimal")
	return tool.Run(func(args []string) error {
		if len(args) == 0 {
			return cli.Usagef("no number is named")
		}
		sum := 0
		for _, arg := range args {
			number, err := strconv.Atoi(arg)
			if err != nil {
				tool.Report(fmt.Errorf("%q: %w", arg, errors.Unwrap(err)))
				continue
			}
			sum += number
		}
		format := "%d\n"
		if *hex {
			format = "%#x\n"
		}
		_, err := fmt.Fprintf(tool.Stdout, format, sum)
		return err
	})
}

func Example() {
	// Errors are on the standard error; here all is shown in one place.
	env := cli.Env{Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stdout}
	for _, args := range [][]string{{"1", "2", "40"}, {"1", "x\n", "2", "-x"}, {}, {"--hexagonal"}} {
		env.Args = args
		fmt.Println(sum(env))
	}
	// Output:
	// 43
	// 0
	// sum: "x\n": invalid syntax
	// 0x3
	// 1
	// sum: no number is named; see sum --help
	// 2
	// sum: unknown flag: --hexagonal; see sum --help
	// 2
}

func ExampleWords() {
	words, err := cli.Words(`--host 'db 1' -m "STOP it"`)
	fmt.Printf("%q %v\n", words, err)
	// Output: ["--host" "db 1" "-m" "STOP it"] <nil>
}

func ExampleSeconds() {
	timeout := 5 * time.Second
	option := cli.Seconds(&timeout)
	for _, text := range []string{"0.5", "2m", "soon"} {
		if err := option.Set(text); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(timeout)
	}
	// Output:
	// 500ms
	// 2m0s
	// not a time: seconds, such as 5 or 0.5, or with a unit, such as 500ms, 2m or 1h
}

func ExamplePrintable() {
	fmt.Println(cli.Printable("\x1b[2Jhostile\n"))
	// Output: \x1b[2Jhostile\n
}
