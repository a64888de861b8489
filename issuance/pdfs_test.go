package issuance_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/hsm/democa"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/pdf"
	"github.com/sealsmith/sealsmith/issuance/tsp"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
)

var printer = sync.OnceValues(pdf.NewPrinter)

// pdfs makes PDFs as one process does; change may make it another.
func (o *office) pdfs(tb testing.TB, change func(*issuance.PDFDeps)) *issuance.PDFs {
	tb.Helper()
	paper, err := printer()
	check(tb, err)
	d := issuance.PDFDeps{
		DB: o.db, Templates: o.templates, Printer: paper, Sealer: func(string) issuance.Sealer { return o.token },
		Patience: time.Hour, Now: o.clock.Now, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&d)
	}
	return issuance.NewPDFs(d)
}

// credential is a sealed credential. The signatures of its token count from here.
func (o *office) credential(tb testing.TB, learner string) issuance.Credential {
	tb.Helper()
	c := o.claim(tb, learner)
	check(tb, o.worker(tb).Seal(tb.Context(), c.ID))
	cred := o.sealed(tb, c)
	o.token.set(func(s *softToken) { s.signed = 0 })
	return cred
}

func (o *office) wantSigned(tb testing.TB, want int) {
	tb.Helper()
	if n := o.token.count(); n != want {
		tb.Errorf("%d signatures, want %d", n, want)
	}
}

// wantKept counts the PDFs that are stored.
func (o *office) wantKept(tb testing.TB, want int) {
	tb.Helper()
	var n int
	check(tb, o.db.Get(tb.Context(), &n, `select count(*) from credential_pdfs`))
	if n != want {
		tb.Errorf("%d PDFs are kept, want %d", n, want)
	}
}

func TestPDF(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		cred := o.credential(t, "noor")
		p := o.pdfs(t, nil)
		if _, made, err := p.Kept(t.Context(), o.org.ID, cred.ID); made || err != nil {
			t.Errorf("made %v, %v", made, err)
		}
		// What stands in the database beside the sealed file does not count.
		_, err := o.db.Exec(t.Context(), `update claims set family_name = 'Mallory'`)
		check(t, err)
		_, err = o.db.Exec(t.Context(), `update credentials set payload = 'nothing'`)
		check(t, err)

		got, err := p.Get(t.Context(), o.org.ID, cred.ID)
		check(t, err)
		found, err := pdf.Check(got.File)
		check(t, err)
		if found.Level != pdf.LevelB || got.Level != templates.SealB || !found.Chain[0].Equal(o.token.mint.leaf) || !found.ClaimedAt.Equal(o.clock.Now()) {
			t.Errorf("PDF of %s, level %s, with %+v", got.MadeAt, got.Level, found)
		}
		if got.KeyID != cred.KeyID || !got.MadeAt.Equal(o.clock.Now()) {
			t.Errorf("key %s, made %s", got.KeyID, got.MadeAt)
		}
		page, err := printed(t, cred.Sealed)
		check(t, err)
		if !bytes.HasPrefix(got.File, page) {
			t.Error("the PDF is not what is printed from the sealed file")
		}

		o.clock.add(time.Hour)
		again, err := p.Get(t.Context(), o.org.ID, cred.ID)
		check(t, err)
		kept, made, err := o.pdfs(t, nil).Kept(t.Context(), o.org.ID, cred.ID)
		check(t, err)
		if diff := cmp.Diff(got, again) + cmp.Diff(got, kept); diff != "" || !made {
			t.Errorf("it has changed:\n%s", diff)
		}
		o.wantSigned(t, 1)
		if o.audits(t, "PDF sealing begun", cred.ClaimID) != 1 || o.audits(t, "PDF sealed", cred.ClaimID) != 1 {
			t.Error("the audit trail does not tell of one signature")
		}
	})
}

func TestPDFIsRefused(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		cred := o.credential(t, "noor")
		other, _, _ := o.open(t, "fjord")
		p := o.pdfs(t, nil)
		for _, id := range [][2]string{{o.org.ID, "unknown"}, {other.ID, cred.ID}, {"", cred.ID}, {o.org.ID, ""}, {o.org.ID, cred.ClaimID}} {
			_, err := p.Get(t.Context(), id[0], id[1])
			wantErr(t, err, issuance.ErrNotFound)
		}
		c := o.claim(t, "intent")
		w := o.worker(t)
		w.Step = dieAt("store", 1)
		wantErr(t, w.Seal(t.Context(), c.ID), errKilled)
		intent, err := o.desk.Credential(t.Context(), o.org.ID, c.ID)
		check(t, err)
		_, err = p.Get(t.Context(), o.org.ID, intent.ID)
		wantErr(t, err, issuance.ErrNotFound)
		o.token.set(func(s *softToken) { s.signed = 0 })

		for _, gone := range []string{`update claims set state = 'revoked' where id = ?`, `update credentials set replaced_by = id, replaced_at = sealed_at where claim_id = ?`} {
			_, err := o.db.Exec(t.Context(), gone, cred.ClaimID)
			check(t, err)
			_, err = p.Get(t.Context(), o.org.ID, cred.ID)
			wantErr(t, err, issuance.ErrWithdrawn)
			_, err = o.db.Exec(t.Context(), `update claims set state = ? where id = ?`, issuance.Delivered, cred.ClaimID)
			check(t, err)
		}
		_, err = o.db.Exec(t.Context(), `update credentials set replaced_by = null, replaced_at = null where id = ?`, cred.ID)
		check(t, err)
		const mark = `"signature":"`
		at := bytes.Index(cred.Sealed, []byte(mark)) + len(mark)
		unsealed := slices.Concat(cred.Sealed[:at], []byte("AAAAAAAA"), cred.Sealed[at+8:])
		for _, damaged := range []struct {
			file []byte
			want error
		}{
			{bytes.ReplaceAll(cred.Sealed, []byte("Noor"), []byte("Nora")), issuance.ErrFileDamaged},
			{[]byte("nothing"), issuance.ErrFileDamaged},
			{nil, issuance.ErrFileDamaged},
			{unsealed, issuance.ErrRecord},
		} {
			_, err := o.db.Exec(t.Context(), `update credentials set sealed = ? where id = ?`, append([]byte{}, damaged.file...), cred.ID)
			check(t, err)
			_, err = p.Get(t.Context(), o.org.ID, cred.ID)
			wantErr(t, err, damaged.want)
		}
		o.wantSigned(t, 0)
		o.wantKept(t, 0)

		_, err = o.db.Exec(t.Context(), `update credentials set sealed = ? where id = ?`, cred.Sealed, cred.ID)
		check(t, err)
		_, err = p.Get(t.Context(), o.org.ID, cred.ID)
		check(t, err)
		_, err = o.db.Exec(t.Context(), `update claims set state = ? where id = ?`, issuance.Revoked, cred.ClaimID)
		check(t, err)
		_, err = p.Get(t.Context(), o.org.ID, cred.ID) // also what was made before
		wantErr(t, err, issuance.ErrWithdrawn)
	})
}

// The key of one organisation does not vouch for what another has sealed. A new certificate
// of the same one is another matter.
func TestPDFByAnotherSeal(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	cred := o.credential(t, "noor")
	before := o.token.mint
	o.token.set(func(s *softToken) { s.mint = newMint(t, nameOwner("Alliance AISBL", "NTRBE-0123456789", "BE")) })
	_, err := o.pdfs(t, nil).Get(t.Context(), o.org.ID, cred.ID)
	wantErr(t, err, issuance.ErrOtherSeal)
	o.wantSigned(t, 0)

	o.token.set(func(s *softToken) { s.mint = newMint(t, nil) })
	got, err := o.pdfs(t, nil).Get(t.Context(), o.org.ID, cred.ID)
	check(t, err)
	found, err := pdf.Check(got.File)
	check(t, err)
	if !found.Chain[0].Equal(o.token.mint.leaf) || found.Chain[0].Equal(before.leaf) {
		t.Error("sealed by another certificate than the one of now")
	}
}

// swapToken has another certificate by the time it signs, once.
type swapToken struct {
	*softToken
	swapped atomic.Bool
}

func (s *swapToken) Sign(ctx context.Context, keyID string, input ...[]byte) ([]byte, error) {
	if s.swapped.CompareAndSwap(false, true) {
		return nil, hsm.ErrKeyChanged
	}
	return s.softToken.Sign(ctx, keyID, input...)
}

func TestPDFWhileTheCertificateChanges(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	cred := o.credential(t, "noor")
	token := &swapToken{softToken: o.token}
	p := o.pdfs(t, func(d *issuance.PDFDeps) { d.Sealer = func(string) issuance.Sealer { return token } })
	_, err := p.Get(t.Context(), o.org.ID, cred.ID)
	check(t, err)
	o.wantSigned(t, 1)
}

// Each organisation has its own tokens.
func TestPDFByTheOrganisationsOwnToken(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	fjord := *o
	fjord.token = &softToken{mint: newMint(t, nil)}
	fjord.org, fjord.version, fjord.attachment = o.open(t, "fjord")
	p := o.pdfs(t, func(d *issuance.PDFDeps) {
		d.Sealer = func(slug string) issuance.Sealer {
			return map[string]issuance.Sealer{"polder": o.token, "fjord": fjord.token}[slug]
		}
	})
	for _, of := range []*office{o, &fjord} {
		cred := of.credential(t, "noor")
		got, err := p.Get(t.Context(), of.org.ID, cred.ID)
		check(t, err)
		found, err := pdf.Check(got.File)
		check(t, err)
		if !found.Chain[0].Equal(of.token.mint.leaf) {
			t.Errorf("%s was sealed by somebody else", of.org.Slug)
		}
		of.wantSigned(t, 1)
	}
}

// authority is a time-stamping authority and who asks it.
func (o *office) authority(tb testing.TB) (*democa.CA, pdf.Stamp) {
	tb.Helper()
	ca, err := democa.New(democa.Options{Now: o.clock.Now, Rand: rand.Reader})
	check(tb, err)
	server := httptest.NewServer(ca.Handler())
	tb.Cleanup(server.Close)
	anchors := x509.NewCertPool()
	anchors.AddCert(ca.Certificate())
	client := &tsp.Client{
		Authorities: []tsp.Authority{{URL: server.URL + "/tsa", Policy: democa.Policy}}, HTTP: server.Client(), Now: o.clock.Now, Anchors: anchors, Timeout: time.Minute,
	}
	return ca, func(ctx context.Context, data ...[]byte) ([]byte, error) {
		token, err := client.Stamp(ctx, data...)
		return token.Raw, err
	}
}

// When a time-stamp is to be had and cannot be, a worse file for ever would be the wrong
// answer. Nor does the token sign again and again for nothing.
func TestPDFWithTimestamp(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		cred, plain := o.credential(t, "noor"), o.credential(t, "plain")
		ca, stamp := o.authority(t)
		p := o.pdfs(t, func(d *issuance.PDFDeps) { d.Stamp = stamp })
		for _, faults := range []democa.TSAFaults{{Down: true}, {WrongImprint: true}, {Garbage: true}} {
			o.token.set(func(s *softToken) { s.signed = 0 })
			ca.SetFaults(democa.Faults{TSA: faults})
			_, err := p.Get(t.Context(), o.org.ID, cred.ID)
			wantErr(t, err, issuance.ErrPDFLater)
			wantErr(t, err, pdf.ErrStamp)
			for range 5 {
				for _, id := range []string{cred.ID, plain.ID} {
					_, err = p.Get(t.Context(), o.org.ID, id)
					wantErr(t, err, issuance.ErrPDFLater)
				}
			}
			o.wantSigned(t, 1)
			o.wantKept(t, 0)
			o.clock.add(30 * time.Second)
		}
		ca.SetFaults(democa.Faults{TSA: democa.TSAFaults{Down: true}})
		check(t, o.templates.SetSeal(t.Context(), o.org.ID, templates.SealPolicy{Level: templates.SealB}, "operator"))
		got, err := p.Get(t.Context(), o.org.ID, plain.ID) // asks nobody
		check(t, err)
		if found, err := pdf.Check(got.File); err != nil || found.Level != pdf.LevelB || got.Level != templates.SealB {
			t.Errorf("%v %s %+v", err, got.Level, found)
		}

		ca.SetFaults(democa.Faults{})
		check(t, o.templates.SetSeal(t.Context(), o.org.ID, templates.SealPolicy{}, "operator"))
		got, err = p.Get(t.Context(), o.org.ID, cred.ID)
		check(t, err)
		found, err := pdf.Check(got.File)
		if err != nil || found.Level != pdf.LevelT || got.Level != templates.SealT || !found.StampedAt.Equal(o.clock.Now()) {
			t.Errorf("%v %s %+v", err, got.Level, found)
		}
		kept, _, err := p.Kept(t.Context(), o.org.ID, cred.ID)
		if err != nil || kept.Level != templates.SealT {
			t.Errorf("kept at level %s, %v", kept.Level, err)
		}
	})
}

// The file inside is the one with its proofs, if they come soon.
func TestPDFWaitsForProofs(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		cred, late := o.credential(t, "noor"), o.credential(t, "late")
		proven := bytes.Replace(cred.Sealed, []byte(`"signatures"`), []byte("\n"+`"signatures"`), 1)
		for _, c := range []issuance.Credential{cred, late} {
			_, err := o.db.Exec(t.Context(), `insert into credential_proofs (credential_id, organisation_id, goal, level, not_before, attempts, last_error, updated_at)
				values (?, ?, 'LTA', 'B', ?, 0, '', ?)`, c.ID, o.org.ID, o.clock.Now(), o.clock.Now())
			check(t, err)
		}
		p := o.pdfs(t, nil)
		asked := make(chan issuance.PDF)
		go func() {
			got, err := p.Get(t.Context(), o.org.ID, cred.ID)
			if err != nil {
				t.Error(err)
			}
			asked <- got
		}()
		select {
		case <-asked:
			t.Error("it did not wait")
		case <-time.After(300 * time.Millisecond):
		}
		o.wantSigned(t, 0)
		_, err := o.db.Exec(t.Context(), `update credential_proofs set level = 'LTA', file = ? where credential_id = ?`, proven, cred.ID)
		check(t, err)
		got := <-asked
		want, err := printed(t, proven)
		check(t, err)
		if !bytes.HasPrefix(got.File, want) {
			t.Error("the file inside is not the one with proofs")
		}
		o.clock.add(10 * time.Minute) // and not for ever
		_, err = p.Get(t.Context(), o.org.ID, late.ID)
		check(t, err)
	})
}

// printed is what is printed of a sealed file.
func printed(tb testing.TB, sealed []byte) ([]byte, error) {
	tb.Helper()
	content, err := elm.Read(sealedPayload(tb, sealed))
	check(tb, err)
	paper, err := printer()
	check(tb, err)
	return paper.Certificate(content, sealed)
}

func TestPDFWhileTheTokenIsAway(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	cred := o.credential(t, "noor")
	p := o.pdfs(t, nil)
	o.token.set(func(s *softToken) { s.paused = true })
	for range 2 {
		_, err := p.Get(t.Context(), o.org.ID, cred.ID)
		wantErr(t, err, issuance.ErrPDFLater)
		wantErr(t, err, hsm.ErrPaused)
	}
	o.token.set(func(s *softToken) { // it goes away between the key and the signature
		s.paused = false
		s.before = func() { o.token.set(func(s *softToken) { s.paused = true }) }
	})
	_, err := p.Get(t.Context(), o.org.ID, cred.ID)
	wantErr(t, err, issuance.ErrPDFLater)
	o.wantKept(t, 0)
	o.token.set(func(s *softToken) { s.paused, s.before = false, nil })
	_, err = p.Get(t.Context(), o.org.ID, cred.ID) // at once: it has cost nothing
	check(t, err)
	o.wantSigned(t, 1)
}

// A signature that fails is not asked for again at once; other credentials do not suffer.
func TestPDFOfABrokenToken(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	cred, other := o.credential(t, "noor"), o.credential(t, "other")
	p := o.pdfs(t, nil)
	o.token.set(func(s *softToken) { s.broken = errors.New("CKR_DEVICE_ERROR") })
	_, err := p.Get(t.Context(), o.org.ID, cred.ID)
	wantErr(t, err, issuance.ErrPDFLater)
	o.token.set(func(s *softToken) { s.broken = nil })
	_, err = p.Get(t.Context(), o.org.ID, cred.ID)
	wantErr(t, err, issuance.ErrPDFLater)
	o.wantSigned(t, 0)
	_, err = p.Get(t.Context(), o.org.ID, other.ID)
	check(t, err)
	o.clock.add(30 * time.Second)
	_, err = p.Get(t.Context(), o.org.ID, cred.ID)
	check(t, err)
	o.wantSigned(t, 2)
}

func TestPDFPanic(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	cred := o.credential(t, "noor")
	p := o.pdfs(t, nil)
	o.token.set(func(s *softToken) { s.before = func() { panic("index out of range") } })
	if _, err := p.Get(t.Context(), o.org.ID, cred.ID); err == nil {
		t.Error("no error")
	}
	o.wantKept(t, 0)
	o.token.set(func(s *softToken) { s.before = nil })
	for range 3 { // its turn was given back
		_, err := p.Get(t.Context(), o.org.ID, cred.ID)
		check(t, err)
	}
}

// A process that dies between signature and store leaves nothing but a line in the audit
// trail; the next one makes another.
func TestPDFKilled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		step   string
		signed int
	}{{"sign", 0}, {"store", 1}} {
		t.Run(test.step, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				cred := o.credential(t, "noor")
				dying := o.pdfs(t, func(d *issuance.PDFDeps) { d.Step = dieAt(test.step, 1) })
				_, err := dying.Get(t.Context(), o.org.ID, cred.ID)
				wantErr(t, err, errKilled)
				o.wantSigned(t, test.signed)
				o.wantKept(t, 0)
				if o.audits(t, "PDF sealing begun", cred.ClaimID) != 1 || o.audits(t, "PDF sealed", cred.ClaimID) != 0 {
					t.Error("the audit trail does not tell what happened")
				}
				got, err := o.pdfs(t, nil).Get(t.Context(), o.org.ID, cred.ID)
				check(t, err)
				_, err = pdf.Check(got.File)
				check(t, err)
				o.wantSigned(t, test.signed+1)
				o.wantKept(t, 1)
				if o.audits(t, "PDF sealing begun", cred.ClaimID) != 2 || o.audits(t, "PDF sealed", cred.ClaimID) != 1 {
					t.Error("the audit trail does not tell what happened")
				}
			})
		})
	}
}

// Two processes have both signed before either stores: one file is kept, both give it.
func TestPDFOfTwoProcesses(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		cred := o.credential(t, "noor")
		var both sync.WaitGroup
		both.Add(2)
		var files [2]issuance.PDF
		var all sync.WaitGroup
		for i := range files {
			p := o.pdfs(t, func(d *issuance.PDFDeps) {
				d.Step = func(step string) error {
					if step == "store" {
						both.Done()
						both.Wait()
					}
					return nil
				}
			})
			all.Go(func() {
				var err error
				if files[i], err = p.Get(t.Context(), o.org.ID, cred.ID); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if diff := cmp.Diff(files[0], files[1]); diff != "" || len(files[0].File) == 0 {
			t.Errorf("two files:\n%s", diff)
		}
		o.wantSigned(t, 2)
		o.wantKept(t, 1)
		if o.audits(t, "PDF sealed", cred.ClaimID) != 1 {
			t.Error("the audit trail tells of two")
		}
	})
}

func TestPDFOfManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		var creds []issuance.Credential
		for _, learner := range []string{"a", "b", "c", "d", "e", "f"} {
			creds = append(creds, o.credential(t, learner))
		}
		var working, most atomic.Int32
		o.token.set(func(s *softToken) {
			s.before = func() {
				n := working.Add(1)
				defer working.Add(-1)
				for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
				}
				time.Sleep(5 * time.Millisecond) // others would come in now, if they could
			}
		})
		p := o.pdfs(t, nil)
		files := make([]issuance.PDF, 60)
		var all sync.WaitGroup
		for i := range files {
			all.Go(func() {
				var err error
				if files[i], err = p.Get(t.Context(), o.org.ID, creds[i%len(creds)].ID); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i, f := range files {
			if !bytes.Equal(f.File, files[i%len(creds)].File) {
				t.Errorf("file %d is another", i)
			}
		}
		o.wantSigned(t, len(creds))
		o.wantKept(t, len(creds))
		if most.Load() > 2 {
			t.Errorf("%d signatures at once", most.Load())
		}
	})
}

// Nobody waits for ever: neither for a token that hangs, nor for one's turn behind others.
func TestPDFPatience(t *testing.T) {
	t.Parallel()
	_, err := renderer() // outside of the bubble: it is shared
	check(t, err)
	_, err = printer()
	check(t, err)
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, sqldbtest.SQLite(t))
		o.clock.run()
		var creds []issuance.Credential
		for _, learner := range []string{"a", "b", "c"} {
			creds = append(creds, o.credential(t, learner))
		}
		goOn := make(chan struct{})
		o.token.set(func(s *softToken) { s.before = func() { <-goOn } })
		p := o.pdfs(t, func(d *issuance.PDFDeps) { d.Patience = 0 })
		begun := time.Now()
		var all sync.WaitGroup
		for _, cred := range creds {
			all.Go(func() {
				_, err := p.Get(t.Context(), o.org.ID, cred.ID)
				if !errors.Is(err, issuance.ErrPDFLater) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if waited := time.Since(begun); waited != 25*time.Second {
			t.Errorf("waited %s", waited)
		}
		time.Sleep(time.Minute) // the one who had no turn has given up
		close(goOn)
		synctest.Wait()
		o.wantKept(t, 2)
		for _, cred := range creds {
			_, err := p.Get(t.Context(), o.org.ID, cred.ID)
			check(t, err)
		}
		o.wantKept(t, 3)
	})
}

// Who leaves does not throw away a signature: the work goes on, and who comes next has it.
func TestPDFGoesOnWhenWhoAskedLeaves(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sqldbtest.SQLite(t))
	cred := o.credential(t, "noor")
	signing, goOn := make(chan struct{}), make(chan struct{})
	o.token.set(func(s *softToken) {
		s.before = func() {
			close(signing)
			<-goOn
		}
	})
	p := o.pdfs(t, nil)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := p.Get(ctx, o.org.ID, cred.ID)
		left <- err
	}()
	<-signing
	leave()
	err := <-left
	wantErr(t, err, issuance.ErrPDFLater)
	wantErr(t, err, context.Canceled)
	close(goOn)
	got, err := p.Get(t.Context(), o.org.ID, cred.ID)
	check(t, err)
	if len(got.File) == 0 {
		t.Error("no file")
	}
	o.wantSigned(t, 1)
}
