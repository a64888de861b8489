//go:build cgo

package ceremony

// Chances for tests that no honest token gives.
var (
	FinishKey  = finish
	SignRecord = signRecord
)
