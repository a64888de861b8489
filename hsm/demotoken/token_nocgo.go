//go:build !cgo

package demotoken

import (
	"context"
	"fmt"
)

func makeToken(context.Context, Options, place) (Made, error) {
	return Made{}, fmt.Errorf("%w; and build with CGO_ENABLED=1: without cgo no driver can be loaded", ErrNoSoftHSM)
}
