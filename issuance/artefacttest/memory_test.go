package artefacttest_test

import (
	"testing"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/artefacttest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	artefacttest.Run(t, func(*testing.T) issuance.Objects { return new(artefacttest.Memory) })
}
