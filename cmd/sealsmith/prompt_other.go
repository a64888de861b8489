//go:build !linux

package main

import (
	"errors"
	"os"
)

// hideInput cannot hide on this system: a PIN is then taken from a pipe or seen while typed.
func hideInput(*os.File) (func(), error) { return nil, errors.ErrUnsupported }
