package jades

// KeyIdentifier is open to the test that compares it with other implementations.
var KeyIdentifier = keyIdentifier

// AppendQuoted and Ordinary are open to the tests that try every letter.
var (
	AppendQuoted = appendQuoted
	Ordinary     = ordinary
	CutQuoted    = cutQuoted
)
