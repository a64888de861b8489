//go:build race

package jades_test

// everyByte is the step of TestEveryByteOfEtsiU under the race detector.
const everyByte = 29
