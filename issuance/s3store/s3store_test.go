package s3store_test

import (
	"testing"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/artefacttest"
	"github.com/sealsmith/sealsmith/issuance/s3store/s3test"
)

// The store passes on a real server what Memory passes.
func TestConformance(t *testing.T) {
	t.Parallel()
	artefacttest.Run(t, func(t *testing.T) issuance.Objects {
		t.Helper()
		b := s3test.New(t)
		return b.Store(t, b.Host)
	})
}
