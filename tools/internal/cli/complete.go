package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Completion says how a shell completes the value of an option, or an argument.
type Completion struct {
	// Words are the values to choose from. Empty: see the others.
	Words []string
	// Files: the name of a file.
	Files bool
	// Command is a command of a shell that prints the values, a word each.
	Command string
}

// shells are what --completion takes.
func shells() []string { return []string{"bash", "zsh"} }

// Complete sets how a shell completes the value of an option. Options without get no suggestions. The name must be that
// of an option, or empty for the plain arguments.
func (t *Tool) Complete(name string, c Completion) {
	if name != "" && t.Flags.Lookup(name) == nil {
		panic("cli: Complete: no option --" + name)
	}
	t.completions[name] = c
}

// script returns what makes a shell complete the tool's command lines.
func (t *Tool) script(shell string) (string, error) {
	switch shell {
	case "bash":
		return t.bash(), nil
	case "zsh":
		return t.zsh(), nil
	}
	return "", Usagef("--completion: %q is none of %s", shell, strings.Join(shells(), ", "))
}

// function is the name of the shell's function.
func (t *Tool) function() string { return "_" + strings.ReplaceAll(t.config.Name, "-", "_") }

// bash returns a function for complete -F. Bash takes = for a word of its own, which is in prev or cur then.
func (t *Tool) bash() string {
	var values, names strings.Builder
	t.Flags.VisitAll(func(f *pflag.Flag) {
		names.WriteString(" --" + f.Name)
		pattern := "--" + f.Name
		if f.Shorthand != "" {
			names.WriteString(" -" + f.Shorthand)
			pattern += "|-" + f.Shorthand
		}
		if f.NoOptDefVal == "" {
			_, _ = fmt.Fprintf(&values, "    %s) %s; return ;;\n", pattern, bashReply(t.completions[f.Name]))
		}
	})
	const script = `# Completion of %[1]s for bash: source <(%[1]s --completion bash)
%[2]s() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  case $prev in
%[3]s  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W '%[4]s' -- "$cur"))
  else
    %[5]s
  fi
}
complete -o filenames -F %[2]s %[1]s
`
	return fmt.Sprintf(script, t.config.Name, t.function(), values.String(), strings.TrimSpace(names.String()),
		bashReply(t.completions[""]))
}

func bashReply(c Completion) string {
	switch {
	case c.Words != nil:
		return fmt.Sprintf(`COMPREPLY=($(compgen -W '%s' -- "$cur"))`, strings.Join(c.Words, " "))
	case c.Files:
		return `mapfile -t COMPREPLY < <(compgen -f -- "$cur")`
	case c.Command != "":
		return fmt.Sprintf(`COMPREPLY=($(compgen -W "$(%s 2>/dev/null)" -- "$cur"))`, c.Command)
	}
	return ":"
}

// zsh returns a function for a folder of fpath, which works with source as well.
func (t *Tool) zsh() string {
	var options strings.Builder
	t.Flags.VisitAll(func(f *pflag.Flag) {
		what, usage := pflag.UnquoteUsage(f)
		rest := "[" + zshText(usage) + "]"
		long := "--" + f.Name
		if f.NoOptDefVal == "" {
			long += "="
			rest += ":" + zshText(what) + ":" + zshAction(t.completions[f.Name])
		}
		switch repeated := strings.HasSuffix(f.Value.Type(), "Array"); {
		case f.Shorthand == "" && repeated:
			_, _ = fmt.Fprintf(&options, "    '*%s%s' \\\n", long, rest)
		case f.Shorthand == "":
			_, _ = fmt.Fprintf(&options, "    '%s%s' \\\n", long, rest)
		case repeated:
			_, _ = fmt.Fprintf(&options, "    '*'{-%s+,%s}'%s' \\\n", f.Shorthand, long, rest)
		default:
			short := "-" + f.Shorthand
			exclusive := "(" + short + " --" + f.Name + ")"
			if f.NoOptDefVal == "" {
				short += "+"
			}
			_, _ = fmt.Fprintf(&options, "    '%s'{%s,%s}'%s' \\\n", exclusive, short, long, rest)
		}
	})
	const script = `#compdef %[1]s
# Completion of %[1]s for zsh: %[1]s --completion zsh >DIR/_%[1]s, with a DIR of $fpath
%[2]s() {
  _arguments -s -S \
%[3]s    '*:argument:%[4]s'
}
if [[ $funcstack[1] == _%[1]s ]]; then
  %[2]s "$@"
else
  compdef %[2]s %[1]s
fi
`
	return fmt.Sprintf(script, t.config.Name, t.function(), options.String(), zshAction(t.completions[""]))
}

func zshAction(c Completion) string {
	switch {
	case c.Words != nil:
		return "(" + strings.Join(c.Words, " ") + ")"
	case c.Files:
		return "_files"
	case c.Command != "":
		return fmt.Sprintf("{compadd -- $(%s 2>/dev/null)}", strings.ReplaceAll(c.Command, "'", `'\''`))
	}
	return " "
}

// zshText is a text that stands in the specification of an option.
func zshText(text string) string {
	return strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(text)
}
