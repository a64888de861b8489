package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// promptPIN asks for a secret on the terminal without showing it. Where the input is no
// terminal, one line of it is taken, so that a program can hand a PIN over by a pipe; it is
// never an argument or an environment variable, which others on the machine can see. The
// caller clears what it gets.
func promptPIN(in *os.File, out io.Writer, question string) ([]byte, error) {
	show, err := hideInput(in)
	if err == nil {
		fmt.Fprint(out, question+": ")
		defer fmt.Fprintln(out)
		defer show()
	}
	line, err := readSecret(in)
	if err != nil {
		return nil, fmt.Errorf("read the PIN: %w", err)
	}
	if len(line) == 0 {
		return nil, errors.New("no PIN was given")
	}
	return line, nil
}

// readSecret reads one line without its end.
func readSecret(in io.Reader) ([]byte, error) {
	const longest = 1024
	line, err := bufio.NewReaderSize(io.LimitReader(in, longest), longest).ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	out := bytes.Clone(bytes.TrimRight(line, "\r\n"))
	clear(line)
	return out, nil
}
