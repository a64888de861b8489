package issuance

import (
	"cmp"
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sealsmith/sealsmith/hsm"
	"github.com/sealsmith/sealsmith/issuance/elm"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/pdf"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// Errors of the certificate as PDF. What is wrong with one never touches the credential,
// which is sealed already.
var (
	// ErrPDFLater says that the PDF cannot be made now: the token is away or busy, the
	// time-stamping authority does not answer, or many wait. Nothing was stored; asking again
	// later is right. It wraps the cause.
	ErrPDFLater = errors.New("the PDF cannot be made now")
	// ErrWithdrawn says that the credential was revoked or replaced: no PDF of it is given
	// out, also when one was made before.
	ErrWithdrawn = errors.New("the credential is not in force any more")
	// ErrSuspended says that the credential is not in force now and may be again: no PDF of it
	// is given out until then.
	ErrSuspended = errors.New("the credential is suspended")
	// ErrOtherSeal says that the token belongs to another legal person than the one that
	// sealed the credential. Its key must not vouch for what somebody else has sealed.
	ErrOtherSeal = errors.New("the credential was sealed by another organisation than the one whose seal is here now")
	// ErrRecord says that the stored file does not carry a good seal of its own. The key must
	// not sign what the database says and no seal confirms.
	ErrRecord = errors.New("the stored file does not bear a seal that fits")
)

// PDF is the certificate of one credential as it was made once. It never changes.
type PDF struct {
	File   []byte              `db:"file"`
	KeyID  string              `db:"key_id"`  // hex SHA-256 of the certificate that sealed it
	Level  templates.SealLevel `db:"level"`   // of PAdES: SealB or SealT
	MadeAt time.Time           `db:"made_at"` // UTC; the time that the seal claims
}

// PDFDeps is what PDFs needs. Stamp, Patience and Step may be nil or 0.
type PDFDeps struct {
	DB        *sqldb.DB
	Templates *templates.Store
	Printer   *pdf.Printer
	// Sealer returns who seals for an organisation, by its slug: who seals its credentials.
	Sealer func(slug string) Sealer
	// Stamp asks a time-stamping authority; nil when none is set up, PDFs are of level B then.
	Stamp pdf.Stamp
	// Patience is how long somebody waits for a PDF; 0: 25 seconds, which servers in between
	// and people bear.
	Patience time.Duration
	// Objects finds files that were carried to an object store; nil: none were.
	Objects Objects
	Now     func() time.Time // the clock
	Logger  *slog.Logger
	// Step, when set, is called before each step ("sign", "store"); an error ends the attempt
	// there as kill -9 would. Tests use it.
	Step func(name string) error
}

// PDFs makes the certificate of a credential as PDF when somebody asks for it first, and
// keeps it. It is safe for concurrent use, also by several processes on one database.
//
// The PDF shows what the sealed file says and nothing that templates or claims say now, and
// carries that file at the level it was promised, for which it waits a little. One
// signature makes one PDF; of two processes that make the same one at the same moment, the
// first to store wins and both hand out its bytes.
//
// Whoever has a public link can ask. What that costs the token is bounded: a PDF that is
// kept costs nothing, many who ask for the same one share one piece of work, which goes on
// when they leave, and after a failure that has cost a signature nothing is tried for
// pdfRest. At most pdfTurns are made at once: signatures stand in the same queue of the
// token as those of credentials, where a worker has more places than that, so PDFs slow
// credentials down a little and never hold them up.
type PDFs struct {
	deps    PDFDeps
	flights singleflight.Group
	turns   chan struct{}
	mu      sync.Mutex
	rests   map[string]time.Time // until when nothing is tried, by credential; "": all that need a time-stamp
}

const (
	// pdfTurns is how many PDFs are made at once.
	pdfTurns = 2
	// pdfPatience is how long somebody waits when PDFDeps does not say; pdfMore is how much
	// longer the work may take, with the wait for its turn; pdfStore is what storing may take
	// besides.
	pdfPatience = 25 * time.Second
	pdfMore     = 35 * time.Second
	pdfStore    = 10 * time.Second
	// pdfRest is how long nothing is tried after a signature was made in vain.
	pdfRest = 30 * time.Second
	// pdfRipe is the age after which a credential is printed although it has not reached the
	// level it was promised: what holds its proofs up may take days. pdfLook is how often a
	// younger one is looked at.
	pdfRipe = 10 * time.Minute
	pdfLook = 250 * time.Millisecond
)

// NewPDFs makes a PDFs. It starts nothing.
func NewPDFs(d PDFDeps) *PDFs {
	d.Patience = cmp.Or(d.Patience, pdfPatience)
	return &PDFs{deps: d, turns: make(chan struct{}, pdfTurns), rests: map[string]time.Time{}}
}

// InForce tells whether a PDF of the credential is given out: nil, ErrNotFound when there is
// no such credential or it is not sealed yet, or ErrWithdrawn.
func (p *PDFs) InForce(ctx context.Context, organisationID, credentialID string) error {
	now, err := standing(ctx, p.deps.DB, `k.organisation_id = ? and k.id = ? and k.sealed_at is not null`, organisationID, credentialID)
	switch {
	case err != nil:
		return err
	case now.InForce == StandsSuspended:
		return ErrSuspended
	case now.Withdrawn():
		return ErrWithdrawn
	}
	return nil
}

// Kept returns the PDF when it was made already, and makes none. Errors are those of InForce.
func (p *PDFs) Kept(ctx context.Context, organisationID, credentialID string) (out PDF, made bool, err error) {
	if err := p.InForce(ctx, organisationID, credentialID); err != nil {
		return PDF{}, false, err
	}
	return p.Stored(ctx, organisationID, credentialID)
}

// Stored returns what is kept, also of a credential that is not in force any more: for people
// who ask what is kept about them. It fails with ErrFileAway and ErrFileDamaged.
func (p *PDFs) Stored(ctx context.Context, organisationID, credentialID string) (out PDF, made bool, err error) {
	var row struct {
		PDF
		Object string `db:"file_object"`
		SHA256 string `db:"file_sha256"`
		Bytes  int64  `db:"file_bytes"`
	}
	err = p.deps.DB.Get(ctx, &row, `select file, key_id, level, made_at, file_object, file_sha256, file_bytes from credential_pdfs
		where organisation_id = ? and credential_id = ?`, organisationID, credentialID)
	if errors.Is(err, sql.ErrNoRows) {
		return PDF{}, false, nil
	}
	if err != nil {
		return PDF{}, false, fmt.Errorf("read the PDF: %w", err)
	}
	if row.Object != "" {
		row.File, err = fetch(ctx, p.deps.Objects, place{row.Object, row.SHA256, row.Bytes})
		if err != nil {
			return PDF{}, false, fmt.Errorf("PDF of credential %s: %w", credentialID, err)
		}
	}
	return row.PDF, true, nil
}

// Get returns the PDF, and makes it if need be. It waits for at most Patience; the work goes
// on after that, and when ctx ends. Errors are those of InForce and Stored, ErrPDFLater,
// ErrOtherSeal, ErrRecord, ErrFileErased, and those of package pdf, of which ErrContent is final.
func (p *PDFs) Get(ctx context.Context, organisationID, credentialID string) (PDF, error) {
	out, made, err := p.Kept(ctx, organisationID, credentialID)
	if err != nil || made {
		return out, err
	}
	wait, stop := context.WithTimeout(ctx, p.deps.Patience)
	defer stop()
	flight := p.flights.DoChan(organisationID+" "+credentialID, func() (any, error) {
		work, stop := context.WithTimeout(context.WithoutCancel(ctx), p.deps.Patience+pdfMore)
		defer stop()
		return p.make(work, organisationID, credentialID)
	})
	select {
	case result := <-flight:
		out, _ := result.Val.(PDF)
		return out, result.Err
	case <-wait.Done():
		return PDF{}, fmt.Errorf("%w: it takes long: %w", ErrPDFLater, context.Cause(wait))
	}
}

// make makes the PDF when it is its turn. A panic becomes an error: singleflight would end
// the process with it.
func (p *PDFs) make(ctx context.Context, organisationID, credentialID string) (out PDF, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.deps.Logger.ErrorContext(ctx, "making a PDF panicked", "credential_id", credentialID, "panic", cause, "stack", string(debug.Stack()))
			out, err = PDF{}, fmt.Errorf("a mistake in the program: %v", cause)
		}
	}()
	if err := p.rested(credentialID); err != nil {
		return PDF{}, err
	}
	if err := p.ripen(ctx, organisationID, credentialID); err != nil {
		return PDF{}, err
	}
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return PDF{}, fmt.Errorf("%w: too many wait for theirs: %w", ErrPDFLater, context.Cause(ctx))
	}
	out, made, err := p.Kept(ctx, organisationID, credentialID) // it may have been made while this one waited
	if err != nil || made {
		return out, err
	}
	cred, err := openCredential(ctx, p.deps.DB, p.deps.Objects, `k.organisation_id = ? and k.id = ? and k.sealed_at is not null`, organisationID, credentialID)
	if err != nil {
		return PDF{}, err
	}
	organisation, err := p.deps.Templates.Organisation(ctx, organisationID)
	if err != nil {
		return PDF{}, err
	}
	content, seal, err := readRecord(cred.Sealed, p.deps.Now())
	if err != nil {
		return PDF{}, err
	}
	printed, err := p.deps.Printer.Certificate(content, cred.Sealed)
	if err != nil {
		return PDF{}, err
	}
	job := pdfJob{cred: cred, organisation: organisation, seal: seal, printed: printed}
	if out, err = p.seal(ctx, job); err != nil {
		return PDF{}, err
	}
	return p.keep(ctx, cred, out)
}

// ripen waits for the proofs of a credential that was sealed a moment ago: the file goes into
// the PDF, where nothing is added to it later.
func (p *PDFs) ripen(ctx context.Context, organisationID, credentialID string) error {
	look := time.NewTicker(pdfLook)
	defer look.Stop()
	for {
		var waits int
		err := p.deps.DB.Get(ctx, &waits, `select count(*) from credentials k join credential_proofs r on r.credential_id = k.id
			where k.organisation_id = ? and k.id = ? and r.level <> r.goal and k.sealed_at > ?`, organisationID, credentialID, sqldb.UTC(p.deps.Now().Add(-pdfRipe)))
		if err != nil {
			return fmt.Errorf("look for the proofs: %w", err)
		}
		if waits == 0 {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: the proofs of the credential are on their way: %w", ErrPDFLater, context.Cause(ctx))
		}
	}
}

// readRecord takes from a sealed file what it says and the certificate that sealed it. It
// refuses a file whose own seal does not fit; whether the certificate is trusted or has
// expired since is not asked: it was ours.
func readRecord(sealed []byte, now time.Time) (elm.Content, *x509.Certificate, error) {
	file, err := jades.Parse(sealed)
	if err != nil {
		return elm.Content{}, nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	for _, f := range file.Verify(jades.VerifyOptions{At: now}).Findings {
		if f.Part == jades.PartCount || (f.Part == jades.PartIntegrity || f.Part == jades.PartHeader) && f.Outcome != jades.OK {
			return elm.Content{}, nil, fmt.Errorf("%w: %s", ErrRecord, f.Words)
		}
	}
	content, err := elm.Read(file.Payload)
	if err != nil {
		return elm.Content{}, nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return content, file.Signatures[0].Leaf(), nil
}

// pdfJob is one PDF on its way.
type pdfJob struct {
	cred         Credential
	organisation templates.Organisation
	seal         *x509.Certificate // that sealed the credential
	printed      []byte            // without a seal
}

// seal puts the seal on, with the key of now. A key that changes in between, because a
// certificate has taken the place of another, is asked for once more.
func (p *PDFs) seal(ctx context.Context, job pdfJob) (PDF, error) {
	sealer := p.deps.Sealer(job.organisation.Slug)
	options := pdf.Options{At: sqldb.UTC(p.deps.Now()).Truncate(time.Second)}
	// An organisation that wants its credentials without time-stamps gets its PDFs without.
	if job.organisation.Seal.Level != templates.SealB {
		options.Stamp = p.deps.Stamp
	}
	if options.Stamp != nil {
		if err := p.rested(""); err != nil {
			return PDF{}, err
		}
	}
	for again := true; ; again = false {
		key, err := sealer.Key(ctx)
		if err != nil {
			return PDF{}, fmt.Errorf("%w: ask for the key: %w", ErrPDFLater, err)
		}
		if !samePerson(job.seal, key.Chain[0]) {
			return PDF{}, ErrOtherSeal
		}
		out, err := p.sign(ctx, job, sealer, key, options)
		if !again || !errors.Is(err, hsm.ErrKeyChanged) {
			return out, err
		}
	}
}

func samePerson(a, b *x509.Certificate) bool {
	one, other := hsm.InspectSeal(a), hsm.InspectSeal(b)
	return one.OrganisationIdentifier == other.OrganisationIdentifier && one.Country == other.Country
}

// sign notes that the key is about to be used, and uses it.
func (p *PDFs) sign(ctx context.Context, job pdfJob, sealer Sealer, key hsm.Key, options pdf.Options) (PDF, error) {
	err := sqldb.Audit(ctx, p.deps.DB, sqldb.Event{
		OrganisationID: job.cred.OrganisationID, At: p.deps.Now(), Actor: "server", Action: "PDF sealing begun",
		Subject: job.cred.ClaimID, Detail: "credential " + job.cred.ID + " sha256 " + digest(job.printed),
	})
	if err != nil {
		return PDF{}, err
	}
	if err := p.step("sign"); err != nil {
		return PDF{}, err
	}
	out := PDF{KeyID: key.ID, Level: templates.SealB, MadeAt: options.At}
	if options.Stamp != nil {
		out.Level = templates.SealT
	}
	out.File, err = pdf.Seal(ctx, sealer, key, job.printed, options)
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, pdf.ErrStamp):
		p.rest("")
	case !errors.Is(err, hsm.ErrPaused) && !errors.Is(err, hsm.ErrKeyChanged):
		p.rest(job.cred.ID)
	}
	if errors.Is(err, pdf.ErrBadSignature) || errors.Is(err, pdf.ErrUnreadable) || errors.Is(err, pdf.ErrSealed) {
		return PDF{}, err // ours to mend; no time heals it
	}
	return PDF{}, fmt.Errorf("%w: %w", ErrPDFLater, err)
}

// keep stores the PDF, unless another process was faster, and returns what is kept.
func (p *PDFs) keep(ctx context.Context, cred Credential, made PDF) (PDF, error) {
	if err := p.step("store"); err != nil {
		return PDF{}, err
	}
	// A signature that came late is not thrown away.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), pdfStore)
	defer stop()
	err := p.deps.DB.InTx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `insert into credential_pdfs (credential_id, organisation_id, file, key_id, level, made_at)
			values (?, ?, ?, ?, ?, ?) on conflict (credential_id) do nothing`, cred.ID, cred.OrganisationID, made.File, made.KeyID, made.Level, made.MadeAt)
		if err != nil {
			return fmt.Errorf("store the PDF: %w", err)
		}
		if n == 0 {
			return nil
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: cred.OrganisationID, At: p.deps.Now(), Actor: "server", Action: "PDF sealed",
			Subject: cred.ClaimID, Detail: "credential " + cred.ID + " key " + made.KeyID + " sha256 " + digest(made.File),
		})
	})
	if err != nil {
		p.rest(cred.ID)
		return PDF{}, err
	}
	out, found, err := p.Kept(ctx, cred.OrganisationID, cred.ID)
	if err == nil && !found {
		err = ErrNotFound // the credential was erased in the meantime
	}
	return out, err
}

func (p *PDFs) step(name string) error {
	if p.deps.Step == nil {
		return nil
	}
	return p.deps.Step(name)
}

// rest keeps a signature that was made in vain from being made again at once.
func (p *PDFs) rest(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.deps.Now()
	for key, until := range p.rests {
		if now.After(until) {
			delete(p.rests, key)
		}
	}
	p.rests[what] = now.Add(pdfRest)
}

func (p *PDFs) rested(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deps.Now().Before(p.rests[what]) {
		return fmt.Errorf("%w: the last attempt has failed a moment ago", ErrPDFLater)
	}
	return nil
}
