package kit

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"time"

	"github.com/sealsmith/sealsmith/hsm"
)

// Errors of reading and building.
var (
	// ErrNoKit is for a folder that holds something else. Build does not replace it.
	ErrNoKit = errors.New("the folder is not an issuer-gone kit")
	// ErrChanged is for a kit in which a file is missing, changed, or too much.
	ErrChanged = errors.New("the kit was changed")
	// ErrUnknown is for a credential that is not in the kit: it is of somebody else, or was sealed
	// after the kit's index was signed.
	ErrUnknown = errors.New("the kit does not know the credential")
)

// format names the form of the folder, in kit.json.
const format = "sealsmith-kit-1"

const (
	manifestName = "kit.json"
	sumsName     = "SHA256SUMS"
)

// Manifest is kit.json: what is in the kit.
type Manifest struct {
	Format string `json:"format"`
	// Server is the address of the server whose credentials these are.
	Server string `json:"server"`
	// AsOf is when the newest list was signed: nothing in the kit is newer.
	AsOf          time.Time      `json:"as_of"`
	Organisations []Organisation `json:"organisations"`
}

// Organisation is one that has issued credentials, with its lists and keys.
type Organisation struct {
	Slug         string            `json:"slug"`
	Name         map[string]string `json:"name"` // by language
	Certificates []Certificate     `json:"certificates"`
	Lists        []List            `json:"lists"`
	// Revocation are files with OCSP responses and certificate lists about the certificates.
	Revocation []string `json:"revocation"`
}

// Certificate is the certificate of a key that has sealed credentials or signed lists.
type Certificate struct {
	SHA256       string    `json:"sha256"` // of its DER form, hexadecimal
	File         string    `json:"file"`   // PEM, with its chain
	Name         string    `json:"name"`   // common name
	Organisation string    `json:"organisation"`
	Identifier   string    `json:"identifier"` // of the organisation (2.5.4.97)
	Country      string    `json:"country"`
	From         time.Time `json:"from"`
	Until        time.Time `json:"until"`
}

// List is one status list.
type List struct {
	ID         string    `json:"id"`
	Address    string    `json:"address"` // of the token list, on the server
	Token      string    `json:"token"`   // files
	Revocation string    `json:"revocation"`
	Suspension string    `json:"suspension"`
	SignedAt   time.Time `json:"signed_at"` // of the token list
	ValidUntil time.Time `json:"valid_until"`
	Index      string    `json:"index"`   // file, the signed index
	Shards     string    `json:"shards"`  // folder of its shards
	Covers     time.Time `json:"covers"`  // credentials sealed later are not in the index
	Credential int       `json:"entries"` // in the index
}

// describe makes the entry of a certificate.
func describe(c *x509.Certificate) Certificate {
	facts := hsm.InspectSeal(c)
	id := fingerprint(c)
	return Certificate{
		SHA256: id, File: "certificates/" + id + ".pem", Name: facts.CommonName, Organisation: facts.Organisation, Identifier: facts.OrganisationIdentifier, Country: facts.Country,
		From: c.NotBefore.UTC(), Until: c.NotAfter.UTC(),
	}
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// shardFile is where a shard is; the one shard of a short index has no digits to name it by.
func shardFile(folder, name string) string {
	if name == "" {
		name = "all"
	}
	return folder + "/" + name + ".txt"
}
