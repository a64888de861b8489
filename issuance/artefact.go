package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Errors of the bytes of a credential.
var (
	// ErrFileAway says that the bytes are in an object store that cannot be asked now. Nothing
	// is lost; asking again later is right. It wraps the cause.
	ErrFileAway = errors.New("the object store that has the file cannot be asked now")
	// ErrFileDamaged says that the bytes are not there, or are others than those that were
	// stored. They are never handed out; a backup has to give them back.
	ErrFileDamaged = errors.New("the stored file is missing or damaged")
	// ErrFileErased says that the bytes were erased on purpose.
	ErrFileErased = errors.New("the files of this credential were erased")
	// ErrNoObject is what Objects.Get returns for a name under which there is nothing.
	ErrNoObject = errors.New("there is no such object")
)

// ArtefactKind is one of the large things that are kept of a credential. Each is in its row, or
// is an object of an object store. The payload is none: it is inside each sealed file, and
// goes and comes with it.
type ArtefactKind string

// The kinds. The words stand in the names of objects and never change.
const (
	ArtefactSealed ArtefactKind = "sealed" // the file as it was sealed, JAdES B-B
	ArtefactProofs ArtefactKind = "proofs" // the file with time-stamps and revocation data
	ArtefactPDF    ArtefactKind = "pdf"    // the certificate as PDF
)

// ArtefactKinds lists all kinds.
func ArtefactKinds() []ArtefactKind {
	return []ArtefactKind{ArtefactSealed, ArtefactProofs, ArtefactPDF}
}

// Object is one object as a list tells it.
type Object struct {
	Name  string
	Bytes int64
}

// Objects is a store outside of the database. Package s3store has one. Methods fail with an
// error that wraps ErrFileAway when the store cannot be asked, or says that it will not answer now.
type Objects interface {
	// Put keeps body under name. When it returns nil the object survives a crash of the store.
	// Putting the same again is no error.
	Put(ctx context.Context, name string, body []byte) error
	// Get returns at most limit bytes, or ErrNoObject. An object that has more is ErrFileDamaged.
	Get(ctx context.Context, name string, limit int64) ([]byte, error)
	// Delete makes the object not be there; that it never was is no error.
	Delete(ctx context.Context, name string) error
	// List returns up to limit objects in the order of their names, those after the name given.
	List(ctx context.Context, after string, limit int) ([]Object, error)
	// Ping reports whether the store can be asked.
	Ping(ctx context.Context) error
}

// place is where an artefact is: here, in the row, while Object is empty.
type place struct {
	Object string
	SHA256 string // hex; of an object
	Bytes  int64
}

// objectName names the object of an artefact. The hash of the bytes is in it, so a retry writes
// the same object; the number counts how often the artefact was carried, so a name that was let
// go of never comes again, and deleting what was let go of cannot hit what is in use.
func objectName(organisationID, credentialID string, kind ArtefactKind, moves int, sha256 string) string {
	return organisationID + "/" + credentialID + "/" + string(kind) + "-" + strconv.Itoa(moves) + "-" + sha256
}

// parseObjectName is the reverse of objectName; ok is false for what was not named by it.
func parseObjectName(name string) (organisationID, credentialID string, kind ArtefactKind, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return "", "", "", false
	}
	word, rest, found := strings.Cut(parts[2], "-")
	if _, sum, counted := strings.Cut(rest, "-"); !found || !counted || len(sum) != 64 {
		return "", "", "", false
	}
	return parts[0], parts[1], ArtefactKind(word), true
}

// fetch returns the bytes of an object as they were when it was stored, never others.
func fetch(ctx context.Context, objects Objects, at place) ([]byte, error) {
	if objects == nil {
		return nil, fmt.Errorf("%w: none is set up here; name it with SEALSMITH_ARTEFACTS", ErrFileAway)
	}
	var err error
	for range 2 { // bytes that were spoilt on the way are there whole the second time
		var body []byte
		body, err = objects.Get(ctx, at.Object, at.Bytes)
		switch {
		case errors.Is(err, ErrFileAway):
			return nil, err
		case errors.Is(err, ErrNoObject):
			return nil, fmt.Errorf("%w: the object store has no %s", ErrFileDamaged, at.Object)
		case err == nil && int64(len(body)) == at.Bytes && digest(body) == at.SHA256:
			return body, nil
		case err == nil:
			err = fmt.Errorf("%w: the object %s has other bytes than those that were stored", ErrFileDamaged, at.Object)
		}
	}
	return nil, err
}

// credentialRow is a credential as its rows tell it.
type credentialRow struct {
	Credential
	SealedObject string         `db:"sealed_object"`
	SealedSHA256 string         `db:"sealed_sha256"`
	SealedBytes  int64          `db:"sealed_bytes"`
	FileObject   sql.NullString `db:"file_object"`
	FileSHA256   sql.NullString `db:"file_sha256"`
	FileBytes    sql.NullInt64  `db:"file_bytes"`
	ErasedAt     sql.NullTime   `db:"erased_at"`
}

// at is where the file of the highest level is.
func (r credentialRow) at() place {
	if r.FileObject.String != "" {
		return place{Object: r.FileObject.String, SHA256: r.FileSHA256.String, Bytes: r.FileBytes.Int64}
	}
	if r.Sealed != nil {
		return place{Bytes: int64(len(r.Sealed))}
	}
	return place{Object: r.SealedObject, SHA256: r.SealedSHA256, Bytes: r.SealedBytes}
}

// open returns the credential with all its bytes, wherever they are. No transaction is open.
func (r credentialRow) open(ctx context.Context, objects Objects) (Credential, error) {
	if r.ErasedAt.Valid {
		return Credential{}, ErrFileErased
	}
	c := r.Credential
	if at := r.at(); at.Object != "" {
		var err error
		if c.Sealed, err = fetch(ctx, objects, at); err != nil {
			return Credential{}, fmt.Errorf("credential %s: %w", c.ID, err)
		}
	}
	if len(c.Payload) == 0 && c.Sealed != nil {
		var err error
		if c.Payload, err = payloadOf(c.Sealed, c.PayloadSHA256); err != nil {
			return Credential{}, fmt.Errorf("credential %s: %w", c.ID, err)
		}
	}
	return c, nil
}

// payloadOf takes the payload out of a sealed file. It must be the one that was to be sealed.
func payloadOf(sealed []byte, sha256 string) ([]byte, error) {
	file, err := jades.Parse(sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFileDamaged, err)
	}
	if digest(file.Payload) != sha256 {
		return nil, fmt.Errorf("%w: what is sealed is not what was to be sealed", ErrFileDamaged)
	}
	return file.Payload, nil
}

// openCredential reads one credential with its bytes, or ErrNotFound. The condition names the
// columns of credentials by k.
func openCredential(ctx context.Context, q sqldb.Queryer, objects Objects, condition string, args ...any) (Credential, error) {
	row, err := readCredential(ctx, q, condition, args...)
	if err != nil {
		return Credential{}, err
	}
	return row.open(ctx, objects)
}
