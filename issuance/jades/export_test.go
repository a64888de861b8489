package jades

// KeyIdentifier is open to the test that compares it with other implementations.
var KeyIdentifier = keyIdentifier
