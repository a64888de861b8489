package sealbook_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance/sealbook"
)

var noted = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func book(t *testing.T) sealbook.Book {
	t.Helper()
	return sealbook.Book{Path: filepath.Join(t.TempDir(), "seals.log")}
}

func note(id string) sealbook.Note {
	return sealbook.Note{At: noted, CredentialID: id, OrganisationID: "o", ClaimID: "c-" + id, AttachmentID: "a", Learner: "l-" + id, IssuedAt: noted, Link: "link-" + id, PayloadSHA256: "00"}
}

func all(t *testing.T, b sealbook.Book) []string {
	t.Helper()
	var ids []string
	check(t, b.Each(func(n sealbook.Note) error {
		ids = append(ids, n.CredentialID)
		return nil
	}))
	return ids
}

func wantLast(t *testing.T, b sealbook.Book, id string) {
	t.Helper()
	n, found, err := b.Last()
	check(t, err)
	if n.CredentialID != id || found != (id != "") {
		t.Errorf("last note is %+v (%v), want %q", n, found, id)
	}
}

func TestBook(t *testing.T) {
	t.Parallel()
	b := book(t)
	wantLast(t, b, "")
	if got := all(t, b); got != nil {
		t.Errorf("a book that is not there has %v", got)
	}
	for _, id := range []string{"1", "2", "3"} {
		check(t, b.Add(note(id)))
		wantLast(t, b, id)
	}
	last, _, err := b.Last()
	check(t, err)
	if diff := cmp.Diff(note("3"), last); diff != "" {
		t.Errorf("note (-written +read):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, all(t, b)); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(b.Path)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
}

// What a person has settled does not come again.
func TestReconciled(t *testing.T) {
	t.Parallel()
	b := book(t)
	check(t, b.Add(note("1")))
	check(t, b.Add(sealbook.Note{At: noted, Reconciled: true}))
	if n, found, err := b.Last(); err != nil || !found || !n.Reconciled {
		t.Errorf("last note %+v %v %v", n, found, err)
	}
	if got := all(t, b); got != nil {
		t.Errorf("settled notes come again: %v", got)
	}
	check(t, b.Add(note("2")))
	if diff := cmp.Diff([]string{"2"}, all(t, b)); diff != "" {
		t.Error(diff)
	}
}

// A line that a full disk cut off spoils neither the note before nor the one after it.
func TestCutOff(t *testing.T) {
	t.Parallel()
	b := book(t)
	check(t, b.Add(note("1")))
	f, err := os.OpenFile(b.Path, os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteString(`{"at":"2026-11-29T12:0`)
	check(t, err)
	check(t, f.Close())
	wantLast(t, b, "1")
	check(t, b.Add(note("2")))
	wantLast(t, b, "2")
	if diff := cmp.Diff([]string{"1", "2"}, all(t, b)); diff != "" {
		t.Error(diff)
	}
}

// A book that has grown is moved aside, and both are read.
func TestGrown(t *testing.T) {
	t.Parallel()
	b := book(t)
	check(t, b.Add(note("1")))
	check(t, os.Truncate(b.Path, 0))
	check(t, b.Add(note("2")))
	f, err := os.OpenFile(b.Path, os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	line := make([]byte, 1<<10)
	for i := range line {
		line[i] = ' '
	}
	line[len(line)-1] = '\n'
	for range sealbook.MaxSize>>10 + 1 {
		_, err := f.Write(line)
		check(t, err)
	}
	check(t, f.Close())
	check(t, b.Add(note("3")))
	wantLast(t, b, "3")
	if diff := cmp.Diff([]string{"2", "3"}, all(t, b)); diff != "" {
		t.Error(diff)
	}
	check(t, os.Remove(b.Path))
	check(t, os.WriteFile(b.Path+".1", []byte(`{"credential":"old"}`+"\n"), 0o600))
	wantLast(t, b, "old")
}

// Many write at once, as the processes of a machine do: no note is lost or mixed up.
func TestMany(t *testing.T) {
	t.Parallel()
	b := book(t)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 50 {
				if err := b.Add(note(fmt.Sprint(w, "-", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	seen := map[string]bool{}
	for _, id := range all(t, b) {
		seen[id] = true
	}
	if len(seen) != 400 {
		t.Errorf("%d notes of 400", len(seen))
	}
}

func TestNoFolder(t *testing.T) {
	t.Parallel()
	b := sealbook.Book{Path: filepath.Join(t.TempDir(), "gone", "seals.log")}
	if b.Add(note("1")) == nil {
		t.Error("a note was written into a folder that is not there")
	}
}

// A file that is no book must not pass for one in which nothing is missing.
func TestCheck(t *testing.T) {
	t.Parallel()
	b := book(t)
	for _, content := range []string{"", "not a note\n", `{"link":1,"actor":"operator"}` + "\n"} {
		check(t, os.WriteFile(b.Path, []byte(content), 0o600))
		if err := b.Check(); err == nil || !strings.Contains(err.Error(), "name the seal book") {
			t.Errorf("%q: %v", content, err)
		}
	}
	check(t, b.Add(sealbook.Note{At: noted, Reconciled: true}))
	if err := b.Check(); err != nil {
		t.Errorf("a book that is settled: %v", err)
	}
}
