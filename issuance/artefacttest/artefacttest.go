// Package artefacttest says in tests what an object store has to do, and has the smallest
// one that does it.
//
// Run is the conformance suite for issuance.Objects: s3store passes it on a real server, Memory
// passes it in memory. So what credentials are tested with behaves as what they are kept in.
// The package deliberately does not test what a store may do as it likes: how fast it is, and what it
// keeps beside names and bytes.
package artefacttest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance"
)

// Run tests the store that open makes, a fresh and empty one for each part.
func Run(t *testing.T, open func(t *testing.T) issuance.Objects) {
	t.Helper()
	for _, part := range []struct {
		name string
		test func(t *testing.T, store issuance.Objects)
	}{
		{"empty", empty},
		{"what is put is there", there},
		{"any bytes", anyBytes},
		{"the same again", again},
		{"deleted", deleted},
		{"no more than asked for", limited},
		{"listed in order", listed},
		{"many at once", atOnce},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.test(t, open(t))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const big = 1 << 20

func want(t *testing.T, store issuance.Objects, name string, body []byte) {
	t.Helper()
	got, err := store.Get(t.Context(), name, big)
	must(t, err)
	if !bytes.Equal(got, body) {
		t.Errorf("%s has %d bytes, others than the %d that were put", name, len(got), len(body))
	}
}

func wantNone(t *testing.T, store issuance.Objects, name string) {
	t.Helper()
	if body, err := store.Get(t.Context(), name, big); !errors.Is(err, issuance.ErrNoObject) || body != nil {
		t.Errorf("%s: %d bytes, %v, want ErrNoObject", name, len(body), err)
	}
}

func empty(t *testing.T, store issuance.Objects) {
	must(t, store.Ping(t.Context()))
	wantNone(t, store, "o/c/sealed-0-x")
	all, err := store.List(t.Context(), "", 10)
	must(t, err)
	if len(all) != 0 {
		t.Errorf("an empty store lists %v", all)
	}
}

func there(t *testing.T, store issuance.Objects) {
	must(t, store.Put(t.Context(), "o/c/sealed-0-x", []byte("one")))
	must(t, store.Put(t.Context(), "o/c/pdf-0-y", []byte("two")))
	want(t, store, "o/c/sealed-0-x", []byte("one"))
	want(t, store, "o/c/pdf-0-y", []byte("two"))
	wantNone(t, store, "o/c/pdf-1-y")
	wantNone(t, store, "o/c")
}

func anyBytes(t *testing.T, store issuance.Objects) {
	all := make([]byte, 300_000)
	for i := range all {
		all[i] = byte(i*i + i>>8)
	}
	for i, body := range [][]byte{all, []byte("\r\n"), {0}, []byte("<?xml?>"), bytes.Repeat([]byte("\xff"), 65536)} {
		name := fmt.Sprintf("o/c/sealed-%d-x", i)
		must(t, store.Put(t.Context(), name, body))
		want(t, store, name, body)
	}
}

func again(t *testing.T, store issuance.Objects) {
	for range 3 {
		must(t, store.Put(t.Context(), "o/c/sealed-0-x", []byte("one")))
	}
	want(t, store, "o/c/sealed-0-x", []byte("one"))
	all, err := store.List(t.Context(), "", 10)
	must(t, err)
	if len(all) != 1 {
		t.Errorf("put three times, listed %v", all)
	}
}

func deleted(t *testing.T, store issuance.Objects) {
	must(t, store.Put(t.Context(), "o/c/sealed-0-x", []byte("one")))
	must(t, store.Put(t.Context(), "o/c/sealed-1-x", []byte("two")))
	for range 2 { // what is not there can be deleted
		must(t, store.Delete(t.Context(), "o/c/sealed-0-x"))
	}
	wantNone(t, store, "o/c/sealed-0-x")
	want(t, store, "o/c/sealed-1-x", []byte("two"))
}

func limited(t *testing.T, store issuance.Objects) {
	must(t, store.Put(t.Context(), "o/c/sealed-0-x", []byte("twelve bytes")))
	got, err := store.Get(t.Context(), "o/c/sealed-0-x", 12)
	must(t, err)
	if string(got) != "twelve bytes" {
		t.Errorf("got %q", got)
	}
	if _, err := store.Get(t.Context(), "o/c/sealed-0-x", 11); !errors.Is(err, issuance.ErrFileDamaged) {
		t.Errorf("an object that is longer than asked for: %v", err)
	}
}

func listed(t *testing.T, store issuance.Objects) {
	var names []string
	for _, name := range []string{"a/c/pdf-0-x", "a/c/sealed-0-x", "a/d/sealed-0-x", "b/c/sealed-0-x", "b/c/sealed-1-x"} {
		must(t, store.Put(t.Context(), name, []byte(name)))
		names = append(names, name)
	}
	for _, page := range []int{1, 2, 5, 100} {
		var got []string
		after := ""
		for {
			some, err := store.List(t.Context(), after, page)
			must(t, err)
			if len(some) > page {
				t.Fatalf("%d objects, at most %d were asked for", len(some), page)
			}
			for _, o := range some {
				if o.Bytes != int64(len(o.Name)) {
					t.Errorf("%s has %d bytes in the list", o.Name, o.Bytes)
				}
				got = append(got, o.Name)
			}
			if len(some) < page {
				break
			}
			after = some[len(some)-1].Name
		}
		if diff := cmp.Diff(names, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", page, diff)
		}
	}
}

func atOnce(t *testing.T, store issuance.Objects) {
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			name := fmt.Sprintf("o/c%d/sealed-0-x", i/2) // two of each
			if err := store.Put(t.Context(), name, []byte(name)); err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if got, err := store.Get(t.Context(), name, big); err != nil || string(got) != name {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		})
	}
	all.Wait()
	some, err := store.List(t.Context(), "", 100)
	must(t, err)
	if len(some) != 8 {
		t.Errorf("%d objects, want 8", len(some))
	}
}
