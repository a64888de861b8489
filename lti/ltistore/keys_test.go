package ltistore_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
)

const (
	lineA = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="                     // 32 times A
	lineB = "4242424242424242424242424242424242424242424242424242424242424242" // 32 times B
	lineC = "Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0M"
)

func box(tb testing.TB, lines ...string) *ltistore.Box {
	tb.Helper()
	b, err := ltistore.ReadBox([]byte(strings.Join(lines, "\n")))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// with is the store of another process, with this box.
func (s *suite) with(b *ltistore.Box) *ltistore.Store {
	return ltistore.New(s.db, func() time.Time { return s.now }, ltistore.WithBox(b))
}

// change plans without looking at what there is.
func (s *suite) change(store *ltistore.Store, c lti.KeyChange) {
	s.Helper()
	c.Actor = "operator"
	s.must(store.ChangeToolKeys(s.Context(), func([]lti.ToolKey) (lti.KeyChange, error) { return c, nil }))
}

func (s *suite) toolKeys(store *ltistore.Store, want ...lti.ToolKey) {
	s.Helper()
	got, err := store.ToolKeys(s.Context())
	s.must(err)
	if len(got) != len(want) {
		s.Fatalf("got %d keys, want %d", len(got), len(want))
	}
	for i := range got { // Secret prints as redacted, so cmp.Diff would not show it
		if !bytes.Equal(got[i].Private, want[i].Private) {
			s.Errorf("key %s: the private part is not as it was", got[i].KID)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("keys (-want +got):\n%s", diff)
	}
}

// raw returns everything that the database keeps of keys.
func (s *suite) raw() string {
	s.Helper()
	var all [][]byte
	s.must(s.db.Select(s.Context(), &all, `select private from tool_keys union all select secret from lti11_keys`))
	return string(bytes.Join(all, nil))
}

func TestToolKeys(t *testing.T) {
	each(t, func(s *suite) {
		for name, b := range map[string]*ltistore.Box{"plain": nil, "sealed": box(s, lineA)} {
			store := s.with(b)
			s.now = start
			old := lti.ToolKey{KID: name + "-b", Private: []byte{1, 0, 2}, CreatedAt: start}
			young := lti.ToolKey{KID: name + "-a", Private: []byte("young private"), CreatedAt: start.Add(time.Second), UseFrom: start.Add(25 * time.Hour)}
			s.change(store, lti.KeyChange{Add: &young})
			s.change(store, lti.KeyChange{Add: &old})
			s.toolKeys(store, old, young)
			if got := strings.Contains(s.raw(), "young private"); got != (b == nil) {
				s.Errorf("%s: the database shows the key: %v", name, got)
			}
			err := store.ChangeToolKeys(s.Context(), func(have []lti.ToolKey) (lti.KeyChange, error) {
				if len(have) != 2 || have[0].Private != nil || have[1].UseFrom != young.UseFrom {
					s.Errorf("planned with %v", have)
				}
				return lti.KeyChange{Retire: []string{old.KID, "unknown"}, RetireAt: start.Add(25 * time.Hour)}, nil
			})
			s.must(err)
			old.RetiredAt = start.Add(25 * time.Hour)
			s.change(store, lti.KeyChange{Retire: []string{old.KID}, RetireAt: start.Add(50 * time.Hour)}) // not put off
			s.toolKeys(store, old, young)
			s.now = start.Add(49 * time.Hour)
			s.toolKeys(store, young)
			if _, err := store.Sweep(s.Context()); err != nil {
				s.Error(err)
			}
			if all, err := store.AllToolKeys(s.Context()); err != nil || len(all) != 1 || all[0].Private != nil {
				s.Errorf("after the sweep: %v, %v", all, err)
			}
			s.change(store, lti.KeyChange{Withdraw: []string{young.KID}})
			s.toolKeys(store)
		}
	})
}

// TestChangesDoNotOverlap counts by what it reads: two that overlapped would count the same.
func TestChangesDoNotOverlap(t *testing.T) {
	each(t, func(s *suite) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := s.store.ChangeToolKeys(s.Context(), func(have []lti.ToolKey) (lti.KeyChange, error) {
					return lti.KeyChange{Add: &lti.ToolKey{KID: fmt.Sprint(len(have)), Private: []byte{1}, CreatedAt: s.now}}, nil
				})
				if err != nil {
					s.Error(err)
				}
			})
		}
		wg.Wait()
		if all, err := s.store.AllToolKeys(s.Context()); err != nil || len(all) != 8 {
			s.Errorf("%d keys, %v", len(all), err)
		}
		refused := errors.New("refused")
		if err := s.store.ChangeToolKeys(s.Context(), func([]lti.ToolKey) (lti.KeyChange, error) { return lti.KeyChange{}, refused }); err != refused { //nolint:errorlint // as it is
			s.Errorf("got %v", err)
		}
	})
}

// TestKeyFileLife goes through what an operator does with the key file.
func TestKeyFileLife(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		key := lti.ToolKey{KID: "k", Private: []byte("private part"), CreatedAt: start}
		s.change(s.store, lti.KeyChange{Add: &key})
		s.must(s.store.AddLTI11Key(s.Context(), "org-1", r.ID, "consumer", []byte("shared secret")))
		sealed := func(want int) {
			s.Helper()
			if n, err := s.store.Sealed(s.Context()); err != nil || n != want {
				s.Errorf("%d sealed, %v; want %d", n, err, want)
			}
		}
		changes := func(n int, err error) func(int) {
			return func(want int) {
				s.Helper()
				if err != nil || n != want {
					s.Errorf("changed %d, %v; want %d", n, err, want)
				}
			}
		}
		opens := func(store *ltistore.Store, want bool) {
			s.Helper()
			_, err := store.ToolKeys(s.Context())
			secrets, err11 := store.LTI11Secrets(s.Context(), r, "consumer")
			if want && (err != nil || err11 != nil || len(secrets) != 1 || string(secrets[0]) != "shared secret") {
				s.Errorf("does not open: %v, %v, %q", err, err11, secrets)
			}
			if !want && (!ltistore.IsWrongBox(err) || !ltistore.IsWrongBox(err11)) {
				s.Errorf("opened with a wrong key file: %v, %v", err, err11)
			}
		}
		sealed(0)
		a, b, ba := s.with(box(s, lineA)), s.with(box(s, lineB)), s.with(box(s, "# new", lineB, "", lineA))
		changes(a.SealPlain(s.Context()))(2)
		changes(a.SealPlain(s.Context()))(0)
		sealed(2)
		if raw := s.raw(); strings.Contains(raw, "private part") || strings.Contains(raw, "shared secret") {
			s.Error("the database shows a secret")
		}
		opens(a, true)
		opens(b, false)
		opens(s.store, false) // no key file
		if err := s.store.ChangeToolKeys(s.Context(), func([]lti.ToolKey) (lti.KeyChange, error) { return lti.KeyChange{}, nil }); !ltistore.IsWrongBox(err) {
			s.Errorf("changed without the key file: %v", err)
		}
		if _, err := b.SealPlain(s.Context()); !ltistore.IsWrongBox(err) {
			s.Errorf("sealed with a wrong key file: %v", err)
		}
		opens(ba, true)
		changes(ba.SealPlain(s.Context()))(0) // a start changes nothing: another server may have the old file
		opens(a, true)
		changes(ba.Rewrap(s.Context()))(2)
		changes(ba.Rewrap(s.Context()))(0)
		opens(a, false)
		opens(b, true)
		changes(a.ForgetSealed(s.Context()))(2)
		sealed(0)
	})
}

// TestSealedStaysInPlace exchanges sealed values as one could who writes to the database.
func TestSealedStaysInPlace(t *testing.T) {
	each(t, func(s *suite) {
		store, r := s.with(box(s, lineA)), s.added()
		for _, kid := range []string{"a", "b"} {
			s.change(store, lti.KeyChange{Add: &lti.ToolKey{KID: kid, Private: []byte("private " + kid), CreatedAt: start}})
		}
		for _, change := range []string{
			`update tool_keys set private = (select private from tool_keys where kid = 'a') where kid = 'b'`,
			`update tool_keys set private = substr(private, 1, 20) where kid = 'b'`,
			`update tool_keys set private = substr(private, 1, 5) where kid = 'b'`,
			`update tool_keys set private = substr(private, 1, 0) where kid = 'b'`,
		} {
			_, err := s.db.Exec(s.Context(), change)
			s.must(err)
			if keys, err := store.ToolKeys(s.Context()); err == nil || ltistore.IsWrongBox(err) {
				s.Errorf("after %s: %v, %v", change, keys, err)
			}
		}
		s.must(store.AddLTI11Key(s.Context(), "org-1", r.ID, "key-1", []byte("secret")))
		_, err := s.db.Exec(s.Context(), `update lti11_keys set consumer_key = 'key-2'`)
		s.must(err)
		if secrets, err := store.LTI11Secrets(s.Context(), r, "key-2"); err == nil {
			s.Errorf("moved to another key, the secret opens: %q", secrets)
		}
	})
}

func TestLTI11Keys(t *testing.T) {
	each(t, func(s *suite) {
		store, r := s.with(box(s, lineA)), s.added()
		ctx := s.Context()
		for _, secret := range []string{"one", "two", "one"} {
			s.must(store.AddLTI11Key(ctx, "org-1", r.ID, "key", []byte(secret)))
			s.now = s.now.Add(time.Second)
		}
		for name, err := range map[string]error{
			"another organisation": store.AddLTI11Key(ctx, "org-2", r.ID, "key", []byte("x")),
			"no registration":      store.AddLTI11Key(ctx, "org-1", "unknown", "key", []byte("x")),
			"remove by another":    store.RemoveLTI11Key(ctx, "org-2", r.ID, "any"),
		} {
			if !errors.Is(err, lti.ErrNotFound) {
				s.Errorf("%s: %v, want ErrNotFound", name, err)
			}
		}
		for _, bad := range [][2]string{{"", "secret"}, {"key", ""}, {strings.Repeat("k", 4097), "s"}, {"k", strings.Repeat("s", 4097)}} {
			if err := store.AddLTI11Key(ctx, "org-1", r.ID, bad[0], []byte(bad[1])); err == nil {
				s.Errorf("took a key of %d and a secret of %d bytes", len(bad[0]), len(bad[1]))
			}
		}
		secrets := func(org string, want ...string) {
			s.Helper()
			got, err := store.LTI11Secrets(ctx, lti.Registration{ID: r.ID, OrganisationID: org}, "key")
			s.must(err)
			if fmt.Sprintf("%s", got) != fmt.Sprint(want) {
				s.Errorf("secrets %s, want %v", got, want)
			}
		}
		secrets("org-1", "one", "two")
		secrets("org-2")
		keys, err := store.LTI11Keys(ctx, "org-1", r.ID)
		s.must(err)
		if len(keys) != 2 || keys[0].ConsumerKey != "key" || !keys[0].CreatedAt.Equal(start) {
			s.Fatalf("keys %v", keys)
		}
		if other, err := store.LTI11Keys(ctx, "org-2", r.ID); err != nil || len(other) != 0 {
			s.Errorf("another organisation sees %v, %v", other, err)
		}
		s.must(store.RemoveLTI11Key(ctx, "org-1", r.ID, keys[0].ID))
		secrets("org-1", "two")
		var audit []string
		s.must(s.db.Select(ctx, &audit, `select action || '|' || detail from audit where organisation_id = 'org-1' and action like 'lti 1.1%'`))
		if len(audit) != 3 || strings.Contains(fmt.Sprint(audit), "one") || strings.Contains(fmt.Sprint(audit), "two") {
			s.Errorf("audit trail: %v", audit)
		}
		s.must(s.store.RemoveRegistration(ctx, "org-1", r.ID))
		if n, err := store.Sealed(ctx); err != nil || n != 0 {
			s.Errorf("%d secrets stayed after their registration, %v", n, err)
		}
	})
}

func TestReadBox(t *testing.T) {
	t.Parallel()
	for _, good := range []string{lineA, lineB, lineC, strings.ToUpper(lineB), " " + lineA + "\r\n", "# c\n\n" + lineB, lineA + "\n" + lineB, "__" + lineA[2:], "//" + lineA[2:]} {
		if _, err := ltistore.ReadBox([]byte(good)); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"": "no key", "# only words": "no key", "password": "line 1", lineA + "\n" + lineA[4:]: "line 2", lineB[2:]: "line 1", lineB + "00": "line 1",
		strings.Repeat(lineA+"\n", 17): "more than 16", strings.Repeat("x", 1<<17): "too long", "-----BEGIN PRIVATE KEY-----": "line 1",
	} {
		_, err := ltistore.ReadBox([]byte(bad))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80q: %v, want %q", bad, err, says)
		}
		if err != nil && len(bad) > 7 && strings.Contains(err.Error(), bad[:8]) {
			t.Errorf("the error shows the file: %v", err)
		}
	}
}

// TestBoxIsNotPrinted prints a box in every way there is.
func TestBoxIsNotPrinted(t *testing.T) {
	t.Parallel()
	b := box(t, lineA)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("box", "box", b)
	for _, got := range []string{fmt.Sprintf("%v %+v %#v %s %x", b, b, b, b, b), fmt.Sprintf("%+v", struct{ Box *ltistore.Box }{b}), log.String()} {
		if strings.Contains(got, "AAAA") || strings.Contains(got, "4141") || strings.Contains(got, "65 65") || !strings.Contains(got, "redacted") {
			t.Errorf("printed %s", got)
		}
	}
}
