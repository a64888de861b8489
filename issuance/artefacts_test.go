package issuance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/artefacttest"
	"github.com/sealsmith/sealsmith/issuance/pdf"
	"github.com/sealsmith/sealsmith/issuance/s3store/s3test"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
	"github.com/sealsmith/sealsmith/templates"
)

// depot is an office with what carries its artefacts, and everything that reads them.
type depot struct {
	archive
	carrier *issuance.Artefacts
	pdfs    *issuance.PDFs
}

// newDepot makes one; objects may be nil.
func newDepot(t *testing.T, o *office, objects issuance.Objects) *depot {
	t.Helper()
	d := &depot{archive: newArchive(t, o)}
	d.desk.WithObjects(objects)
	d.preserver.Objects = objects
	d.carrier = &issuance.Artefacts{DB: o.db, Objects: objects, Now: o.clock.Now, Logger: slog.New(slog.DiscardHandler), Quiet: time.Minute, Every: time.Second, Parallel: 3}
	d.pdfs = o.pdfs(t, func(deps *issuance.PDFDeps) { deps.Objects = objects })
	return d
}

// full seals for a learner, with proofs and PDF, and lets it grow old enough to be carried.
func (d *depot) full(t *testing.T, learner string) (issuance.Credential, issuance.PDF) {
	t.Helper()
	c, _ := d.seal(t, learner, templates.SealLTA)
	d.run(t)
	cred := d.sealed(t, c)
	paper, err := d.pdfs.Get(t.Context(), d.org.ID, cred.ID)
	check(t, err)
	d.clock.add(2 * time.Minute)
	return cred, paper
}

// same wants that everybody who asks gets the bytes that were made.
func (d *depot) same(t *testing.T, cred issuance.Credential, paper issuance.PDF) {
	t.Helper()
	own, err := d.desk.Credential(t.Context(), d.org.ID, cred.ClaimID)
	check(t, err)
	public, err := d.desk.Published(t.Context(), cred.Link)
	check(t, err)
	if diff := cmp.Diff(cred, own) + cmp.Diff(cred, public); diff != "" {
		t.Errorf("the credential has changed:\n%.2000s", diff)
	}
	kept, made, err := d.pdfs.Kept(t.Context(), d.org.ID, cred.ID)
	check(t, err)
	if !made || !bytes.Equal(kept.File, paper.File) || kept.KeyID != paper.KeyID {
		t.Errorf("the PDF has changed, or is not there: %v", made)
	}
}

// where wants so many artefacts of each kind in the database and in the store.
func (d *depot) where(t *testing.T, here, away int64) issuance.ArtefactStatus {
	t.Helper()
	status, err := d.carrier.Status(t.Context())
	check(t, err)
	for _, c := range status.Counts {
		if c.Database != here || c.Objects != away || (c.ObjectsBytes > 0) != (away > 0) {
			t.Errorf("%+v, want %d in the database and %d objects", c, here, away)
		}
	}
	return status
}

// whole wants that Verify finds so many artefacts and nothing wrong.
func (d *depot) whole(t *testing.T, want int64) issuance.ArtefactReport {
	t.Helper()
	report, err := d.carrier.Verify(t.Context())
	check(t, err)
	if report.Checked != want || report.Bytes == 0 || len(report.Faults) > 0 {
		t.Errorf("%d checked, want %d; %d bytes, wrong: %+v", report.Checked, want, report.Bytes, report.Faults)
	}
	return report
}

func (d *depot) carryOut(t *testing.T) issuance.Carried {
	t.Helper()
	done, err := d.carrier.ToObjects(t.Context(), 0)
	check(t, err)
	return done
}

func (d *depot) carryBack(t *testing.T) issuance.Carried {
	t.Helper()
	done, err := d.carrier.ToDatabase(t.Context(), 0)
	check(t, err)
	return done
}

// The same is asked of the database alone, of a store in memory, and of a real server: what was
// made is what is read, withdrawn credentials stay withdrawn, and what is erased is gone.
func TestWhereverArtefactsAre(t *testing.T) {
	t.Parallel()
	for _, in := range []struct {
		place string
		open  func(t *testing.T) issuance.Objects
	}{
		{"database", func(*testing.T) issuance.Objects { return nil }},
		{"memory", func(*testing.T) issuance.Objects { return new(artefacttest.Memory) }},
		{"s3", func(t *testing.T) issuance.Objects {
			t.Helper()
			b := s3test.New(t)
			return b.Store(t, b.Host)
		}},
	} {
		t.Run(in.place, func(t *testing.T) {
			t.Parallel()
			sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				objects := in.open(t)
				d := newDepot(t, newOffice(t, db), objects)
				noor, noorPaper := d.full(t, "noor")
				emil, emilPaper := d.full(t, "emil")
				d.where(t, 2, 0)
				d.whole(t, 6)
				if objects != nil {
					if done := d.carryOut(t); done.Artefacts != 6 || done.Damaged != 0 || done.Bytes < 400_000 {
						t.Errorf("carried %+v", done)
					}
					d.where(t, 0, 2)
				}
				d.same(t, noor, noorPaper)
				d.same(t, emil, emilPaper)
				if report := d.whole(t, 6); len(report.Strangers) > 0 {
					t.Errorf("objects of nobody: %v", report.Strangers)
				}
				d.erased(t, noor)
				d.same(t, emil, emilPaper)
				d.whole(t, 3)
				d.wantObjects(t, objects, 3)
				if objects != nil {
					if done := d.carryBack(t); done.Artefacts != 3 {
						t.Errorf("carried back %+v", done)
					}
					d.same(t, emil, emilPaper)
					d.where(t, 1, 0)
					d.clock.add(time.Hour)
					check(t, second(d.carrier.Tidy(t.Context())))
					d.wantObjects(t, objects, 0)
				}
				d.whole(t, 3)
			})
		})
	}
}

func second[T any](_ T, err error) error { return err }

// wantObjects counts what is in the store.
func (d *depot) wantObjects(t *testing.T, objects issuance.Objects, want int) {
	t.Helper()
	if objects == nil {
		return
	}
	all, err := objects.List(t.Context(), "", 100)
	check(t, err)
	if len(all) != want {
		t.Errorf("%d objects, want %d: %v", len(all), want, all)
	}
}

// erased erases, and wants nothing to be left of what the credential said.
func (d *depot) erased(t *testing.T, cred issuance.Credential) {
	t.Helper()
	check(t, d.desk.TendOnce(t.Context())) // staff can search by the name
	check(t, d.carrier.Erase(t.Context(), d.org.ID, cred.ID, "operator"))
	wantErr(t, d.carrier.Erase(t.Context(), d.org.ID, cred.ID, "operator"), issuance.ErrFileErased)
	_, err := d.desk.Credential(t.Context(), d.org.ID, cred.ClaimID)
	wantErr(t, err, issuance.ErrFileErased)
	_, err = d.desk.Published(t.Context(), cred.Link)
	wantErr(t, err, issuance.ErrFileErased)
	_, err = d.pdfs.Get(t.Context(), d.org.ID, cred.ID)
	wantErr(t, err, issuance.ErrFileErased)
	if now, err := d.desk.Standing(t.Context(), cred.ID); err != nil || now.InForce != issuance.StandsInForce {
		t.Errorf("stands %q, %v", now.InForce, err)
	}
	d.clock.add(time.Hour)
	check(t, second(d.carrier.Tidy(t.Context())))
	var left int
	check(t, d.db.Get(t.Context(), &left, `select (select count(*) from credentials where id = ? and (length(payload) > 0 or sealed is not null or sealed_object <> ''))
		+ (select count(*) from credential_proofs where credential_id = ?) + (select count(*) from credential_pdfs where credential_id = ?)
		+ (select count(*) from claims where id = ? and (given_name <> '' or family_name <> ''))
		+ (select count(*) from credential_words where credential_id = ?)`, cred.ID, cred.ID, cred.ID, cred.ClaimID, cred.ID))
	if left > 0 {
		t.Errorf("%d rows still say something", left)
	}
	if n := d.audits(t, "credential files erased", cred.ClaimID); n != 1 {
		t.Errorf("%d lines of audit", n)
	}
	status, err := d.carrier.Status(t.Context())
	check(t, err)
	if status.Erased != 1 || status.Leftovers != 0 {
		t.Errorf("status %+v", status)
	}
}

func TestEraseIsRefused(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		d := newDepot(t, o, nil)
		cred, paper := d.full(t, "emil")
		other, _, _ := o.open(t, "fjord")
		wantErr(t, d.carrier.Erase(t.Context(), other.ID, cred.ID, "operator"), issuance.ErrNotFound)
		wantErr(t, d.carrier.Erase(t.Context(), o.org.ID, "unknown", "operator"), issuance.ErrNotFound)
		_, intent := o.intent(t)
		wantErr(t, d.carrier.Erase(t.Context(), o.org.ID, intent.ID, "operator"), issuance.ErrState)
		d.same(t, cred, paper)
	})
}

// While the store is away sealing goes on, nothing is carried, what is an object cannot be
// read and says so; when it is back, all is as before.
func TestStoreAway(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		objects := new(artefacttest.Memory)
		d := newDepot(t, o, objects)
		noor, noorPaper := d.full(t, "noor")
		d.carryOut(t)
		objects.Away(errors.New("connection refused"))
		emil, emilPaper := d.full(t, "emil")
		d.same(t, emil, emilPaper)
		wantErr(t, d.carrier.RunOnce(t.Context()), issuance.ErrFileAway)
		d.where(t, 1, 1)
		if n, err := d.carrier.Waiting(t.Context(), 100); n != 3 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
		if n, err := d.carrier.Waiting(t.Context(), 2); n != 2 || err != nil {
			t.Errorf("%d wait of 2, %v", n, err)
		}
		_, err := d.desk.Credential(t.Context(), o.org.ID, noor.ClaimID)
		wantErr(t, err, issuance.ErrFileAway)
		_, _, err = d.pdfs.Kept(t.Context(), o.org.ID, noor.ID)
		wantErr(t, err, issuance.ErrFileAway)
		wantErr(t, second(d.carrier.Verify(t.Context())), issuance.ErrFileAway)
		wantErr(t, second(d.carrier.ToDatabase(t.Context(), 0)), issuance.ErrFileAway)
		check(t, d.carrier.Erase(t.Context(), o.org.ID, noor.ID, "operator")) // at once; the objects go later
		d.clock.add(time.Hour)
		wantErr(t, second(d.carrier.Tidy(t.Context())), issuance.ErrFileAway)
		if names := objects.Names(); len(names) != 3 {
			t.Errorf("objects %v", names)
		}
		objects.Away(nil)
		check(t, d.carrier.RunOnce(t.Context()))
		for _, name := range objects.Names() {
			if strings.Contains(name, noor.ID) {
				t.Errorf("%s is still there", name)
			}
		}
		d.same(t, emil, emilPaper)
		_ = noorPaper
		d.wantObjects(t, objects, 3)
	})
}

// A process that has no object store set up says so.
func TestStoreNotSetUp(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		d := newDepot(t, o, new(artefacttest.Memory))
		cred, _ := d.full(t, "noor")
		d.carryOut(t)
		d.desk.WithObjects(nil)
		_, err := d.desk.Credential(t.Context(), o.org.ID, cred.ClaimID)
		if !errors.Is(err, issuance.ErrFileAway) || !strings.Contains(err.Error(), "SEALSMITH_ARTEFACTS") {
			t.Error(err)
		}
		d.carrier.Objects = nil
		wantErr(t, second(d.carrier.ToObjects(t.Context(), 0)), issuance.ErrFileAway)
		if n, err := d.carrier.Tidy(t.Context()); n != 0 || err != nil {
			t.Errorf("%d deleted, %v", n, err)
		}
	})
}

// What is spoilt is never handed out, carried or hidden, wherever it is.
func TestSpoiltArtefacts(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		objects := new(artefacttest.Memory)
		d := newDepot(t, o, objects)
		noor, _ := d.full(t, "noor")
		d.carryOut(t)
		bodies := map[string][]byte{}
		for _, name := range objects.Names() {
			body, err := objects.Get(t.Context(), name, 1<<20)
			check(t, err)
			bodies[name] = body
		}
		for name, body := range bodies {
			for what, spoilt := range map[string][]byte{
				"missing": nil, "cut": body[:len(body)-1], "longer": append(bytes.Clone(body), '\n'), "empty": {}, "other": bytes.Replace(body, body[100:110], []byte("0123456789"), 1),
			} {
				objects.Spoil(name, spoilt)
				report, err := d.carrier.Verify(t.Context())
				check(t, err)
				if len(report.Faults) != 1 || report.Faults[0].Object != name || report.Faults[0].CredentialID != noor.ID || report.Faults[0].Words == "" {
					t.Errorf("%s of %s: %+v", what, name, report.Faults)
				}
				switch {
				case strings.Contains(name, "/proofs-"):
					_, err = d.desk.Credential(t.Context(), o.org.ID, noor.ClaimID)
					wantErr(t, err, issuance.ErrFileDamaged)
				case strings.Contains(name, "/pdf-"):
					_, _, err = d.pdfs.Kept(t.Context(), o.org.ID, noor.ID)
					wantErr(t, err, issuance.ErrFileDamaged)
				}
				objects.Spoil(name, body)
			}
		}
		for name := range bodies {
			objects.Spoil(name, nil)
		}
		if done := d.carryBack(t); done.Artefacts != 0 || done.Damaged != 3 {
			t.Errorf("carried %+v", done)
		}
		for name, body := range bodies {
			objects.Spoil(name, body)
		}
		d.whole(t, 3)
		if done := d.carryBack(t); done.Artefacts != 3 || done.Damaged != 0 {
			t.Errorf("carried %+v", done)
		}
	})
}

func TestSpoiltInTheDatabase(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		objects := new(artefacttest.Memory)
		d := newDepot(t, o, objects)
		cred, paper := d.full(t, "noor")
		other, _ := d.full(t, "emil")
		_, err := o.db.Exec(t.Context(), `update credentials set sealed = (select k.sealed from credentials k where k.id = ?) where id = ?`, other.ID, cred.ID)
		check(t, err)
		_, err = o.db.Exec(t.Context(), `update credential_pdfs set file = ? where credential_id = ?`, append([]byte("%PDF-"), paper.File...), cred.ID)
		check(t, err)
		_, err = o.db.Exec(t.Context(), `update credential_proofs set file = 'nothing' where credential_id = ?`, cred.ID)
		check(t, err)
		report, err := d.carrier.Verify(t.Context())
		check(t, err)
		if len(report.Faults) != 3 || report.Checked != 6 {
			t.Errorf("%d checked, %+v", report.Checked, report.Faults)
		}
		if done := d.carryOut(t); done.Damaged != 2 || done.Artefacts != 4 { // nothing in a row tells that a PDF is another one
			t.Errorf("carried %+v", done)
		}
	})
}

// A process is killed before any step; the next one goes on, and nothing is lost or doubled.
func TestCarryingIsKilled(t *testing.T) {
	t.Parallel()
	for _, kill := range []struct {
		step string
		nth  int
	}{{"put", 1}, {"put", 3}, {"swap", 1}, {"swap", 2}, {"delete", 1}, {"delete", 2}} {
		t.Run(fmt.Sprint(kill), func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				objects := new(artefacttest.Memory)
				d := newDepot(t, o, objects)
				cred, paper := d.full(t, "noor")
				killed := 0
				for range 2 {
					for _, carry := range []func() error{
						func() error { return second(d.carrier.ToObjects(t.Context(), 0)) },
						func() error { return second(d.carrier.ToDatabase(t.Context(), 0)) },
						func() error { d.clock.add(time.Hour); return second(d.carrier.Tidy(t.Context())) },
					} {
						d.carrier.Step = dieAt(kill.step, kill.nth)
						if err := carry(); err != nil {
							wantErr(t, err, errKilled)
							killed++
							d.same(t, cred, paper)
							d.whole(t, 3)
						}
						d.carrier.Step = nil
						check(t, carry())
						d.same(t, cred, paper)
					}
				}
				if killed == 0 {
					t.Error("nothing was killed")
				}
				d.where(t, 1, 0)
				d.wantObjects(t, objects, 0)
			})
		})
	}
}

// One process has read an artefact and is slow; meanwhile others carry it out, back, and
// delete the object. The slow one must not let the row name what is gone.
func TestSlowCarrier(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		objects := new(artefacttest.Memory)
		d := newDepot(t, o, objects)
		cred, paper := d.full(t, "noor")
		slow := *d.carrier
		slow.Step = func(step string) error {
			if step == "swap" {
				d.carryOut(t)
				d.carryBack(t)
				d.clock.add(time.Hour)
				check(t, second(d.carrier.Tidy(t.Context())))
			}
			return nil
		}
		done, err := slow.ToObjects(t.Context(), 0)
		check(t, err)
		if done.Artefacts != 0 {
			t.Errorf("the slow one let rows name what is gone: %+v", done)
		}
		d.where(t, 1, 0)
		d.same(t, cred, paper)
		d.whole(t, 3)
	})
}

// Several processes carry at once.
func TestCarryingAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		objects := new(artefacttest.Memory)
		d := newDepot(t, o, objects)
		creds := map[string]issuance.PDF{}
		var all []issuance.Credential
		for _, learner := range []string{"a", "b", "c", "d"} {
			cred, paper := d.full(t, learner)
			all, creds[cred.ID] = append(all, cred), paper
		}
		for range 3 {
			var mu sync.Mutex
			var total issuance.Carried
			var at sync.WaitGroup
			for range 3 {
				at.Go(func() {
					done, err := d.carrier.ToObjects(t.Context(), 0)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					total.Artefacts += done.Artefacts
				})
			}
			at.Wait()
			if total.Artefacts != 12 {
				t.Errorf("%d artefacts were carried by three processes, want 12", total.Artefacts)
			}
			d.where(t, 0, 4)
			for _, cred := range all {
				d.same(t, cred, creds[cred.ID])
			}
			d.carryBack(t)
		}
	})
}

// Proofs are renewed years later: the file comes from the store, the longer one goes there, and
// the shorter one is deleted.
func TestRenewalOfCarriedProofs(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		objects := new(artefacttest.Memory)
		d := newDepot(t, o, objects)
		cred, paper := d.full(t, "noor")
		d.carryOut(t)
		before := objects.Names()
		d.clock.add(300 * 24 * time.Hour)
		_, err := o.db.Exec(t.Context(), `update credential_proofs set not_before = ?`, sqldb.UTC(o.clock.Now()))
		check(t, err)
		d.ca.SetBaseURL(d.base())
		d.run(t)
		renewed, err := d.desk.Credential(t.Context(), o.org.ID, cred.ClaimID)
		check(t, err)
		if len(renewed.Sealed) <= len(cred.Sealed) {
			t.Fatalf("nothing was added: %s", d.waiting(t, 0).LastError)
		}
		d.clock.add(time.Hour)
		check(t, d.carrier.RunOnce(t.Context()))
		d.same(t, renewed, paper)
		after := objects.Names()
		if len(after) != 3 || cmp.Equal(before, after) {
			t.Errorf("objects %v, before %v", after, before)
		}
		d.whole(t, 3)
	})
}

// The first file of a credential was carried before its proofs came: an authority was away for long.
func TestProofsOfCarriedSeal(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		d := newDepot(t, o, new(artefacttest.Memory))
		c, cred := d.seal(t, "noor", templates.SealLTA)
		d.clock.add(time.Hour)
		if done := d.carryOut(t); done.Artefacts != 1 {
			t.Errorf("carried %+v", done)
		}
		d.run(t)
		d.waiting(t, 0)
		d.reached(t, c, cred.Sealed, templates.SealLTA)
	})
}

// An organisation that wants no proofs has PDFs from carried files.
func TestPDFOfCarriedFile(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		d := newDepot(t, o, new(artefacttest.Memory))
		cred := o.credential(t, "noor")
		d.clock.add(time.Hour)
		d.carryOut(t)
		paper, err := d.pdfs.Get(t.Context(), o.org.ID, cred.ID)
		check(t, err)
		_, err = pdf.Check(paper.File)
		check(t, err)
		d.same(t, cred, paper)
	})
}

// Objects that no row names are told, and are nobody's fault; names of others are not ours.
func TestStrangers(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		objects := new(artefacttest.Memory)
		d := newDepot(t, o, objects)
		cred, _ := d.full(t, "noor")
		d.carrier.Step = dieAt("swap", 1)
		wantErr(t, second(d.carrier.ToObjects(t.Context(), 0)), errKilled)
		check(t, objects.Put(t.Context(), "notes/of/somebody", []byte("hello")))
		report := d.whole(t, 3)
		if len(report.Strangers) != 1 || !strings.HasPrefix(report.Strangers[0], o.org.ID+"/"+cred.ID+"/sealed-0-") {
			t.Errorf("strangers %v", report.Strangers)
		}
		d.carrier.Step = nil
		d.carryOut(t)
		if report := d.whole(t, 3); len(report.Strangers) > 0 {
			t.Errorf("strangers %v", report.Strangers)
		}
		if n := objects.Puts(); n != 5 { // the one that was killed is the same object, and a stranger's
			t.Errorf("%d objects were written", n)
		}
	})
}

// The loop carries by itself, goes on when the store is back, and ends with its context.
func TestCarryingRuns(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		objects := new(artefacttest.Memory)
		objects.Away(errors.New("connection refused"))
		d := newDepot(t, o, objects)
		cred, paper := d.full(t, "noor")
		var log bytes.Buffer
		d.carrier.Logger, d.carrier.Every = slog.New(slog.NewTextHandler(&log, nil)), time.Millisecond
		tried := make(chan struct{}, 100)
		d.carrier.Step = func(string) error {
			select {
			case tried <- struct{}{}:
			default:
			}
			return nil
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.carrier.Run(ctx) }()
		for range 5 { // it does not stop trying
			<-tried
		}
		objects.Away(nil)
		for range 10_000 {
			if len(objects.Names()) == 3 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		stop()
		<-ended
		check(t, d.carrier.RunOnce(t.Context()))
		d.where(t, 0, 1)
		d.same(t, cred, paper)
		if n := strings.Count(log.String(), "away=true"); n != 1 {
			t.Errorf("told %d times that the store is away:\n%s", n, log.String())
		}
		d.carryBack(t)
		d.carrier.Keep = true
		check(t, d.carrier.RunOnce(t.Context()))
		d.where(t, 1, 0)
	})
}

// TestEraseCorrected: erasing the credential with the former name leaves that name nowhere, and
// the corrected one as it is; a correction that waits is not pulled from under the worker.
func TestEraseCorrected(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		carrier := &issuance.Artefacts{DB: o.db, Now: o.clock.Now, Logger: slog.New(slog.DiscardHandler)}
		c, old := o.held(t, "noor")
		x, err := o.desk.Propose(t.Context(), o.proposal(c, issuance.Name{Given: "Layla", Family: "Haddad"}))
		check(t, err)
		x, err = o.desk.ConfirmCorrection(t.Context(), o.ruling(x))
		check(t, err)
		wantRefused(t, carrier.Erase(t.Context(), o.org.ID, old.ID, "operator"), "a corrected credential of it waits for the seal")
		check(t, o.worker(t).Seal(t.Context(), c.ID))
		next := o.sealed(t, c)
		y, err := o.desk.Propose(t.Context(), o.proposal(c, noora))
		check(t, err)
		check(t, carrier.Erase(t.Context(), o.org.ID, old.ID, "operator"))
		o.wantCorrection(t, y.ID, issuance.CorrectionDropped)
		var left int
		check(t, o.db.Get(t.Context(), &left, `select (select count(*) from corrections where old_given = 'Noor') + (select count(*) from claims where given_name = 'Noor')`))
		if x = o.wantCorrection(t, x.ID, issuance.CorrectionDone); left != 0 || x.Old() != (issuance.Name{}) || x.NewGiven != "Layla" {
			t.Errorf("%d rows have the former name, the correction is %+v", left, x)
		}
		o.wantStanding(t, next, issuance.StandsInForce, next.SealedAt.Time)
		if content(t, o.sealed(t, c)).Learner != "Layla Haddad" {
			t.Error("the corrected one has changed")
		}
		check(t, carrier.Erase(t.Context(), o.org.ID, next.ID, "operator"))
		check(t, o.db.Get(t.Context(), &left, `select count(*) from corrections where old_given || old_family || new_given || new_family || words || answer || reference <> ''`))
		if left != 0 {
			t.Errorf("%d corrections still say something", left)
		}
	})
}
