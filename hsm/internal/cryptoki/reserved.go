//go:build cgo

package cryptoki

import "C"

import (
	"unsafe"

	"github.com/miekg/pkcs11"
)

// reserved is what a module gets in pReserved of C_Initialize, once and at every reset.
type reserved struct {
	text   string
	memory *C.char // never freed: a library may keep the pointer
}

func newReserved(text string) reserved {
	if text == "" {
		return reserved{}
	}
	return reserved{text: text, memory: C.CString(text)}
}

// initialize gives the options for Ctx.Initialize.
func (r reserved) initialize(flags uint) []pkcs11.InitializeOption {
	return []pkcs11.InitializeOption{
		pkcs11.InitializeWithFlags(flags), pkcs11.InitializeWithReserved(unsafe.Pointer(r.memory)),
	}
}
