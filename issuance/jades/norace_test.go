//go:build !race

package jades_test

// everyByte is the step of TestEveryByteOfEtsiU.
const everyByte = 1
