package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Completion says how a shell completes the value of an option, or an argument.
type Completion struct {
	// Words are the values to choose from. Empty: see the others. Blanks and quotes in them are fine; in bash a colon
	// isn't, where a word ends.
	Words []string
	// Files: the name of a file.
	Files bool
	// Command is a command of a shell that prints the values, a word each. Nothing that it prints is expanded.
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

// visit calls f with each option that isn't hidden.
func (t *Tool) visit(f func(flag *pflag.Flag)) {
	t.Flags.VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden {
			f(flag)
		}
	})
}

// bash returns a function for complete -F. Bash takes = for a word of its own, which is in prev or cur then, unless its
// user has told it not to. Words are compared here and not by compgen -W, which would run what stands in $() in them.
func (t *Tool) bash() string {
	var values, names strings.Builder
	t.visit(func(f *pflag.Flag) {
		names.WriteString(" --" + f.Name)
		pattern := "--" + f.Name
		if f.Shorthand != "" {
			names.WriteString(" -" + f.Shorthand)
			pattern += "|-" + f.Shorthand
		}
		if f.NoOptDefVal == "" {
			_, _ = fmt.Fprintf(&values, "    %s) %s ;;\n", pattern, bashWords(t.completions[f.Name]))
		}
	})
	const script = `# Completion of %[1]s for bash: source <(%[1]s --completion bash)
%[2]s() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} attached= word quoted IFS=$' \t\n'
  local -a words=() more=()
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $cur == --*=* ]]; then
    attached=${cur%%%%=*}= prev=${cur%%%%=*} cur=${cur#*=}
  fi
  COMPREPLY=()
  case $prev in
%[3]s    *)
      if [[ $cur == -* && " ${COMP_WORDS[*]:1:COMP_CWORD-1} " != *' -- '* ]]; then
        words=(%[4]s)
      else
        %[5]s
      fi ;;
  esac
  for word in "${words[@]}"; do
    printf -v quoted %%q "$word"
    if [[ $word == "$cur"* || $quoted == "$cur"* ]]; then
      COMPREPLY+=("$attached$quoted")
    fi
  done
}
complete -F %[2]s %[1]s
`
	return fmt.Sprintf(script, t.config.Name, t.function(), values.String(), strings.TrimSpace(names.String()),
		bashWords(t.completions[""]))
}

// bashWords returns what sets words. Names of files are best left to bash, which knows of quotes, blanks and folders.
func bashWords(c Completion) string {
	switch {
	case len(c.Words) > 0:
		return "words=(" + strings.Join(quoteAll(c.Words), " ") + ")"
	case c.Files:
		return "compopt -o default"
	case c.Command != "":
		return fmt.Sprintf(`while read -ra more || [[ ${more[*]} ]]; do words+=("${more[@]}"); done < <(%s 2>/dev/null)`, c.Command)
	}
	return ":"
}

// zsh returns a function for a folder of fpath, which works with source as well.
func (t *Tool) zsh() string {
	var options strings.Builder
	t.visit(func(f *pflag.Flag) {
		what, usage := pflag.UnquoteUsage(f)
		rest := "[" + zshText(usage) + "]"
		short, long := "-"+f.Shorthand, "--"+f.Name
		before := "(" + short + " " + long + ")" // either excludes the other
		if f.NoOptDefVal == "" {
			rest += ":" + zshText(what) + ":" + zshAction(t.completions[f.Name])
			short, long = short+"+", long+"="
		}
		if repeated(f) {
			before = "*"
		}
		switch {
		case f.Shorthand != "":
			_, _ = fmt.Fprintf(&options, "    %s{%s,%s}%s \\\n", quote(before), short, long, quote(rest))
		case repeated(f):
			_, _ = fmt.Fprintf(&options, "    %s \\\n", quote(before+long+rest))
		default:
			_, _ = fmt.Fprintf(&options, "    %s \\\n", quote(long+rest))
		}
	})
	const script = `#compdef %[1]s
# Completion of %[1]s for zsh: %[1]s --completion zsh >DIR/_%[1]s, with a DIR of $fpath
%[2]s() {
  _arguments -s -S \
%[3]s    %[4]s
}
if [[ $funcstack[1] == _%[1]s ]]; then
  %[2]s "$@"
else
  compdef %[2]s %[1]s
fi
`
	return fmt.Sprintf(script, t.config.Name, t.function(), options.String(), quote("*:argument:"+zshAction(t.completions[""])))
}

// repeated tells whether an option may come several times.
func repeated(f *pflag.Flag) bool {
	_, list := f.Value.(pflag.SliceValue)
	return list || strings.HasSuffix(f.Value.Type(), "Array")
}

func zshAction(c Completion) string {
	switch {
	case len(c.Words) > 0:
		return "(" + zshColons(strings.Join(quoteAll(c.Words), " ")) + ")"
	case c.Files:
		return "_files"
	case c.Command != "":
		return "{" + zshColons("compadd -- $("+c.Command+" 2>/dev/null)") + "}"
	}
	return " "
}

// zshText is a text that stands in the specification of an option.
func zshText(text string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`, "\n", " ").Replace(text)
}

// zshColons is an action of a specification, where a colon would end it, and a backslash is one but in front of a colon.
func zshColons(action string) string { return strings.ReplaceAll(action, ":", `\:`) }

// quote is a word as either shell reads it.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// quoteAll quotes those of the words that need it.
func quoteAll(words []string) (quoted []string) {
	for _, word := range words {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+,@%-", r)
		}) {
			word = quote(word)
		}
		quoted = append(quoted, word)
	}
	return quoted
}
