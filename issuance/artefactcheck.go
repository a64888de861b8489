package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// ArtefactCount is how many artefacts of one kind are where.
type ArtefactCount struct {
	Kind         ArtefactKind `db:"kind"          json:"kind"`
	Database     int64        `db:"here"          json:"database"`
	Objects      int64        `db:"away"          json:"objects"`
	ObjectsBytes int64        `db:"objects_bytes" json:"objects_bytes"`
}

// ArtefactStatus is where all artefacts are.
type ArtefactStatus struct {
	Counts    []ArtefactCount `json:"counts"`
	Leftovers int64           `json:"leftovers"` // objects to be deleted
	Erased    int64           `json:"erased"`    // credentials
}

// Status counts all artefacts. It reads all rows once: for operators, not for pages.
func (a *Artefacts) Status(ctx context.Context) (ArtefactStatus, error) {
	var out ArtefactStatus
	for _, s := range shelves() {
		var c ArtefactCount
		err := a.DB.Get(ctx, &c, `select '`+string(s.kind)+`' as kind, coalesce(sum(case when `+s.here+` then 1 else 0 end), 0) as here,
			coalesce(sum(case when t.`+s.object+`_object <> '' then 1 else 0 end), 0) as away, coalesce(sum(t.`+s.object+`_bytes), 0) as objects_bytes from `+s.table+` t`)
		if err != nil {
			return out, fmt.Errorf("count artefacts: %w", err)
		}
		out.Counts = append(out.Counts, c)
	}
	err := errors.Join(
		a.DB.Get(ctx, &out.Leftovers, `select count(*) from artefact_leftovers`),
		a.DB.Get(ctx, &out.Erased, `select count(*) from credentials where erased_at is not null`))
	if err != nil {
		return out, fmt.Errorf("count leftovers: %w", err)
	}
	return out, nil
}

// Waiting is how many artefacts Run would carry now, counted to most at most: for /readyz.
func (a *Artefacts) Waiting(ctx context.Context, most int) (int, error) {
	total := 0
	for _, s := range shelves() {
		var n int
		err := a.DB.Get(ctx, &n, `select count(*) from (select 1 as one from `+s.table+` t where `+s.ripe()+` and t.`+s.at+` <= ? limit ?) w`,
			sqldb.UTC(a.Now().Add(-a.Quiet)), most)
		if err != nil {
			return 0, fmt.Errorf("count artefacts that wait: %w", err)
		}
		total += n
	}
	return min(total, most), nil
}

// ArtefactFault is one artefact that is not what it should be.
type ArtefactFault struct {
	OrganisationID string       `json:"organisation"`
	CredentialID   string       `json:"credential"`
	Kind           ArtefactKind `json:"kind"`
	Object         string       `json:"object,omitempty"` // empty: in the database
	Words          string       `json:"words"`
}

// ArtefactReport is what Verify has found.
type ArtefactReport struct {
	Checked int64           `json:"checked"`
	Bytes   int64           `json:"bytes"`
	Faults  []ArtefactFault `json:"faults"`
	// Strangers are objects whose names are like ours and that no row names: left by a process
	// that was killed, or of a later state than the database that was restored.
	Strangers []string `json:"strangers"`
}

// Verify reads every artefact, wherever it is, and compares: objects with the hash and length
// in their rows, sealed files with the hash of the payload that was to be sealed and with their own
// seal, PDFs in the database with the hash in the audit trail. Then it lists the objects that no row names.
// It changes nothing, and fails with ErrFileAway, or an error of the database.
func (a *Artefacts) Verify(ctx context.Context) (ArtefactReport, error) {
	report := ArtefactReport{Faults: []ArtefactFault{}, Strangers: []string{}}
	for _, s := range shelves() {
		last := ""
		for {
			batch, err := a.after(ctx, s, last, s.id+` <> ''`, artefactBatch)
			if err != nil {
				return report, err
			}
			if len(batch) == 0 {
				break
			}
			last = batch[len(batch)-1].CredentialID
			if err := a.verify(ctx, batch, &report); err != nil {
				return report, err
			}
		}
	}
	if a.Objects == nil {
		return report, nil
	}
	return report, a.strangers(ctx, &report)
}

// verify adds a batch to the report.
func (a *Artefacts) verify(ctx context.Context, batch []parcel, report *ArtefactReport) error {
	words := make([]string, len(batch))
	err := a.each(ctx, batch, func(i int, p *parcel) error {
		if p.Object != "" {
			body, err := fetch(ctx, a.Objects, p.place())
			if errors.Is(err, ErrFileDamaged) {
				words[i] = err.Error()
				return nil
			}
			if err != nil {
				return err
			}
			p.Body = body
		}
		var err error
		words[i], err = a.judge(ctx, *p)
		return err
	})
	if err != nil {
		return err
	}
	for i, p := range batch {
		if p.Body == nil && words[i] == "" {
			continue // an intent, or no proof yet
		}
		report.Checked, report.Bytes = report.Checked+1, report.Bytes+int64(len(p.Body))
		if words[i] != "" {
			report.Faults = append(report.Faults, ArtefactFault{p.OrganisationID, p.CredentialID, p.kind, p.Object, words[i]})
		}
	}
	return nil
}

// judge says what is wrong with an artefact; "" when nothing is.
func (a *Artefacts) judge(ctx context.Context, p parcel) (string, error) {
	if p.Body == nil {
		return "", nil
	}
	if words := p.wrong(); words != "" {
		return words, nil
	}
	if p.kind != ArtefactPDF {
		if _, _, err := readRecord(p.Body, a.Now()); err != nil {
			return err.Error(), nil //nolint:nilerr // what is wrong with the file is the answer
		}
		return "", nil
	}
	var noted []string
	err := a.DB.Select(ctx, &noted, `select u.detail from audit u join credentials k on k.claim_id = u.subject where k.organisation_id = ? and k.id = ? and u.action = 'PDF sealed'`,
		p.OrganisationID, p.CredentialID)
	if err != nil {
		return "", fmt.Errorf("read what the audit trail says of a PDF: %w", err)
	}
	for _, detail := range noted {
		if strings.HasPrefix(detail, "credential "+p.CredentialID+" ") && strings.HasSuffix(detail, " sha256 "+digest(p.Body)) {
			return "", nil
		}
	}
	return "the audit trail says that another PDF was made", nil
}

// strangers lists objects that no row names.
func (a *Artefacts) strangers(ctx context.Context, report *ArtefactReport) error {
	const page = 1000
	after := ""
	for {
		objects, err := a.Objects.List(ctx, after, page)
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		for _, o := range objects {
			named, err := a.named(ctx, o.Name)
			if err != nil {
				return err
			}
			if !named {
				report.Strangers = append(report.Strangers, o.Name)
			}
		}
		if len(objects) < page {
			return nil
		}
		after = objects[len(objects)-1].Name
	}
}

// named reports whether a row names the object, or the object is none of ours.
func (a *Artefacts) named(ctx context.Context, object string) (bool, error) {
	organisation, credential, kind, ours := parseObjectName(object)
	if !ours {
		return true, nil
	}
	for _, s := range shelves() {
		if s.kind != kind {
			continue
		}
		var n int
		err := a.DB.Get(ctx, &n, `select (select count(*) from `+s.table+` where organisation_id = ? and `+s.id+` = ? and `+s.object+`_object = ?)
			+ (select count(*) from artefact_leftovers where object = ?)`, organisation, credential, object, object)
		if err != nil {
			return false, fmt.Errorf("ask whose an object is: %w", err)
		}
		return n > 0, nil
	}
	return true, nil
}

// Erase makes the files of a credential be gone for good: those in the database at once, those
// in the object store by Tidy, minutes later or when it can be asked again. What remains is that
// there was a credential, when, and how it stands; nobody can read what it said. It
// fails with ErrNotFound, ErrState when it is not sealed yet or a corrected one waits, and ErrFileErased when it was done before.
func (a *Artefacts) Erase(ctx context.Context, organisationID, credentialID, by string) error {
	return a.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		if err := hold(ctx, tx, organisationID, credentialID); err != nil {
			return err
		}
		var row struct {
			ClaimID      string       `db:"claim_id"`
			SealedAt     sql.NullTime `db:"sealed_at"`
			ErasedAt     sql.NullTime `db:"erased_at"`
			SealedObject string       `db:"sealed_object"`
		}
		err := tx.Get(ctx, &row, `select claim_id, sealed_at, erased_at, sealed_object from credentials where organisation_id = ? and id = ?`, organisationID, credentialID)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrNotFound
		case err != nil:
			return fmt.Errorf("read credential: %w", err)
		case row.ErasedAt.Valid:
			return ErrFileErased
		case !row.SealedAt.Valid:
			return refused{"it is not sealed yet, there is nothing to erase"}
		}
		at := sqldb.UTC(a.Now())
		objects := []string{row.SealedObject}
		for _, table := range []string{"credential_proofs", "credential_pdfs"} {
			var more []string
			if err := tx.Select(ctx, &more, `delete from `+table+` where organisation_id = ? and credential_id = ? returning file_object`, organisationID, credentialID); err != nil {
				return fmt.Errorf("erase the %s: %w", table, err)
			}
			objects = append(objects, more...)
		}
		n, err := tx.Exec(ctx, `update credentials set sealed = null, payload = ?, sealed_object = '', sealed_sha256 = '', sealed_bytes = 0, sealed_moves = sealed_moves + 1, erased_at = ?
			where organisation_id = ? and id = ? and erased_at is null and sealed_object = ?`, []byte{}, at, organisationID, credentialID, row.SealedObject)
		if err != nil {
			return fmt.Errorf("erase the sealed file: %w", err)
		}
		if n == 0 {
			return ErrState
		}
		return a.noteErased(ctx, tx, at, erasure{organisationID, credentialID, row.ClaimID, by, objects})
	})
}

type erasure struct {
	organisationID, credentialID, claimID, by string
	objects                                   []string
}

// noteErased takes the name out of what staff search, of the claim, and of its corrections unless
// it has another credential, and writes down what is left to do and what was done.
func (a *Artefacts) noteErased(ctx context.Context, tx *sqldb.Tx, at time.Time, e erasure) error {
	for _, object := range e.objects {
		if err := leave(ctx, tx, e.organisationID, object, at); err != nil {
			return err
		}
	}
	if err := eraseCorrections(ctx, tx, at, e); err != nil {
		return err
	}
	const last = ` and not exists (select 1 from credentials k where k.claim_id = ? and k.sealed_at is not null and k.erased_at is null)`
	if _, err := tx.Exec(ctx, `delete from credential_words where organisation_id = ? and credential_id = ?`, e.organisationID, e.credentialID); err != nil {
		return fmt.Errorf("erase the name that staff search by: %w", err)
	}
	for _, query := range []string{
		`update claims set given_name = '', family_name = '' where organisation_id = ? and id = ?` + last,
		`update corrections set old_given = '', old_family = '', new_given = '', new_family = '', words = '', reference = '', answer = '' where organisation_id = ? and claim_id = ?` + last,
	} {
		if _, err := tx.Exec(ctx, query, e.organisationID, e.claimID, e.claimID); err != nil {
			return fmt.Errorf("erase the name: %w", err)
		}
	}
	return sqldb.Audit(ctx, tx, sqldb.Event{
		OrganisationID: e.organisationID, At: at, Actor: e.by, Action: "credential files erased", Subject: e.claimID, Detail: "credential " + e.credentialID,
	})
}
