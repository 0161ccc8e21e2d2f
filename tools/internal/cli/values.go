package cli

import (
	"errors"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

var (
	errNegative = errors.New("negative")
	errTooShort = errors.New("too short: a nanosecond is the least")
	errTooLong  = errors.New("too long: 292 years are the most")
	errNoTime   = errors.New("not a time: seconds, such as 5 or 0.5, or with a unit, such as 500ms, 2m or 1h")
)

// seconds is a duration as an option.
type seconds time.Duration

// Seconds is the value of an option that is a span of time, in seconds, as in 5 and 0.5, or with a unit as
// time.ParseDuration reads it. It isn't negative. What p points to is the default.
func Seconds(p *time.Duration) pflag.Value { return (*seconds)(p) }

func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		const most = float64(math.MaxInt64 / int64(time.Second))
		number, err := strconv.ParseFloat(text, 64)
		noNumber := err == nil && (math.IsNaN(number) || math.IsInf(number, 0))
		switch {
		case noNumber, err != nil && !errors.Is(err, strconv.ErrRange) && !fitsAsZero(text):
			return errNoTime
		case text[0] == '-' && (err != nil || number != 0):
			return errNegative
		case err != nil || number > most:
			return errTooLong
		}
		d = time.Duration(math.Round(number * float64(time.Second)))
	}
	switch {
	case d < 0:
		return errNegative
	case d == 0 && strings.ContainsAny(mantissa(text), "123456789"):
		return errTooShort // not 0, which may stand for something else
	}
	*s = seconds(d)
	return nil
}

// mantissa is a number without its exponent, if it has one.
func mantissa(text string) string {
	end := strings.IndexAny(text, "eE")
	if end < 0 {
		return text
	}
	return text[:end]
}

// fitsAsZero tells whether text is right for time.ParseDuration but for its size.
func fitsAsZero(text string) bool {
	_, err := time.ParseDuration(strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return '0'
		}
		return r
	}, text))
	return err == nil
}

func (s *seconds) String() string { return time.Duration(*s).String() }

func (s *seconds) Type() string { return "seconds" }

// IsTerminal tells whether what is written to w may be seen by a terminal: any character device.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ErrQuote is the error of Words for a text that ends inside of quotes or with a backslash.
var ErrQuote = errors.New("a quote without its end, or a backslash at the end")

// Words splits text at white space, as a shell does: single and double quotes hold words together, and a backslash
// takes the byte after it as it is, except in single quotes. Nothing is expanded. Bytes that are not UTF-8 stay as they
// are: names of files may have them.
func Words(text string) (words []string, err error) {
	const none = 0
	var word []byte
	inWord, escaped, quote := false, false, byte(none)
	for i := range len(text) {
		switch c := text[i]; {
		case escaped:
			word = append(word, c)
			escaped = false
		case c == '\\' && quote != '\'':
			inWord, escaped = true, true
		case quote != none && c == quote:
			quote = none
		case quote != none:
			word = append(word, c)
		case c == '\'' || c == '"':
			inWord, quote = true, c
		case strings.IndexByte(" \t\n\r\v\f", c) < 0:
			inWord = true
			word = append(word, c)
		case inWord:
			words = append(words, string(word))
			inWord, word = false, word[:0]
		}
	}
	if quote != none || escaped {
		return nil, ErrQuote
	}
	if inWord {
		words = append(words, string(word))
	}
	return words, nil
}
