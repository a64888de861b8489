package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions of lists, RFC 5280 sections 5.2 and 5.3.
var (
	oidDelta        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistribution = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// reasonID is reasonCode, 2.5.29.21, as it is encoded.
const reasonID = "\x55\x1d\x15"

// list is a certificate list. Its entries, of which there may be hundreds of thousands,
// stay as they came: only the one that is looked for is decoded.
type list struct {
	der     []byte
	head    *x509.RevocationList // without entries, over the bytes of the whole list
	entries cryptobyte.String
}

// readList reads the form of a list and of each of its entries. It judges neither signature
// nor time.
func readList(der []byte) (list, error) {
	bare, entries, tbs, err := withoutEntries(der)
	if err != nil {
		return list{}, err
	}
	head, err := x509.ParseRevocationList(bare)
	if err != nil {
		return list{}, fmt.Errorf("%w: list: %w", ErrMalformed, err)
	}
	head.RawTBSRevocationList = tbs // what CheckSignatureFrom looks at
	l := list{der: der, head: head, entries: entries}
	_, _, err = l.find(nil)
	return l, err
}

// withoutEntries cuts revokedCertificates (RFC 5280 section 5.1) out of a list.
func withoutEntries(der []byte) (bare []byte, entries, tbs cryptobyte.String, err error) {
	bad := fmt.Errorf("%w: list: not in DER", ErrMalformed)
	input := cryptobyte.String(der)
	var outer, fields, rest, times cryptobyte.String
	if !input.ReadASN1(&outer, tags.SEQUENCE) || !input.Empty() || !outer.ReadASN1Element(&tbs, tags.SEQUENCE) {
		return nil, nil, nil, bad
	}
	whole := tbs
	if !whole.ReadASN1(&fields, tags.SEQUENCE) {
		return nil, nil, nil, bad
	}
	rest = fields
	if !rest.SkipOptionalASN1(tags.INTEGER) || !rest.SkipASN1(tags.SEQUENCE) || !rest.SkipASN1(tags.SEQUENCE) {
		return nil, nil, nil, bad
	}
	for range 2 { // thisUpdate, and nextUpdate if it is there
		var tag tags.Tag
		if !rest.PeekASN1Tag(tags.UTCTime) && !rest.PeekASN1Tag(tags.GeneralizedTime) {
			break
		}
		if !rest.ReadAnyASN1(&times, &tag) {
			return nil, nil, nil, bad
		}
	}
	before := fields[:len(fields)-len(rest)]
	if !rest.ReadOptionalASN1(&entries, nil, tags.SEQUENCE) {
		return nil, nil, nil, bad
	}
	var b cryptobyte.Builder
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(before)
			b.AddBytes(rest)
		})
		b.AddBytes(outer)
	})
	if bare, err = b.Bytes(); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: list: %w", ErrMalformed, err)
	}
	return bare, entries, tbs, nil
}

// find looks for a serial number; nil walks through all entries, to see that they can be read.
func (l list) find(serial *big.Int) (time.Time, int, error) {
	var wanted []byte
	if serial != nil {
		var err error
		if wanted, err = asn1.Marshal(serial); err != nil {
			return time.Time{}, 0, fmt.Errorf("%w: serial number: %w", ErrConfig, err)
		}
	}
	for rest := l.entries; !rest.Empty(); {
		var entry, number cryptobyte.String
		if !rest.ReadASN1(&entry, tags.SEQUENCE) || !entry.ReadASN1Element(&number, tags.INTEGER) {
			return time.Time{}, 0, errEntry()
		}
		if wanted != nil && !bytes.Equal(number, wanted) {
			continue
		}
		when, reason, err := readEntry(entry)
		if err != nil {
			return time.Time{}, 0, err
		}
		if wanted == nil {
			continue
		}
		var at time.Time
		if !when.ReadASN1UTCTime(&at) && !when.ReadASN1GeneralizedTime(&at) || at.IsZero() {
			return time.Time{}, 0, errEntry()
		}
		return at, reason, nil
	}
	return time.Time{}, 0, nil
}

func errEntry() error { return fmt.Errorf("%w: list: an entry that cannot be read", ErrMalformed) }

// readEntry reads what follows the serial number. It makes nothing that must be collected
// again: it runs over all entries of a list.
func readEntry(entry cryptobyte.String) (when cryptobyte.String, reason int, err error) {
	var extensions, extension, id, value cryptobyte.String
	if !entry.PeekASN1Tag(tags.UTCTime) && !entry.PeekASN1Tag(tags.GeneralizedTime) {
		return nil, 0, errEntry()
	}
	var tag tags.Tag
	if !entry.ReadAnyASN1Element(&when, &tag) || !entry.ReadOptionalASN1(&extensions, nil, tags.SEQUENCE) || !entry.Empty() {
		return nil, 0, errEntry()
	}
	for !extensions.Empty() {
		critical := false
		if !extensions.ReadASN1(&extension, tags.SEQUENCE) || !extension.ReadASN1(&id, tags.OBJECT_IDENTIFIER) ||
			(extension.PeekASN1Tag(tags.BOOLEAN) && !extension.ReadASN1Boolean(&critical)) || !extension.ReadASN1(&value, tags.OCTET_STRING) {
			return nil, 0, errEntry()
		}
		switch {
		case string(id) == reasonID:
			if !value.ReadASN1Enum(&reason) {
				return nil, 0, errEntry()
			}
		case critical: // certificateIssuer of indirect lists among them
			return nil, 0, fmt.Errorf("%w: list: an entry has a critical extension that is not known", ErrMalformed)
		}
	}
	return when, reason, nil
}

// signedBy says whether the issuer of a certificate signed this list, with the key that
// its certificate has.
func (l list) signedBy(issuer *x509.Certificate) error {
	switch {
	case !bytes.Equal(l.head.RawIssuer, issuer.RawSubject):
		return fmt.Errorf("%w: the list is of another issuer", ErrSignature)
	case len(l.head.AuthorityKeyId) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(l.head.AuthorityKeyId, issuer.SubjectKeyId):
		return fmt.Errorf("%w: the list is signed with another key of the issuer", ErrSignature)
	}
	if err := l.head.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%w: list: %w", ErrSignature, err)
	}
	return nil
}

// about is what the list says about a certificate.
func (l list) about(cert *x509.Certificate) (Statement, error) {
	if err := l.speaksOf(cert); err != nil {
		return Statement{}, err
	}
	at, reason, err := l.find(cert.SerialNumber)
	return Statement{At: l.head.ThisUpdate, Until: l.head.NextUpdate, Revoked: at, Reason: reason}, err
}

// distribution is the extension issuingDistributionPoint (RFC 5280 section 5.2.5).
type distribution struct {
	Point      asn1.RawValue  `asn1:"optional,tag:0"`
	OnlyUsers  bool           `asn1:"optional,tag:1"`
	OnlyCAs    bool           `asn1:"optional,tag:2"`
	Reasons    asn1.BitString `asn1:"optional,tag:3"`
	Indirect   bool           `asn1:"optional,tag:4"`
	Attributes bool           `asn1:"optional,tag:5"`
}

// speaksOf says whether a list is complete for certificates like this one: no delta, not
// for some reasons only, not the part of another distribution point (RFC 5280 section
// 6.3.3).
func (l list) speaksOf(cert *x509.Certificate) error {
	for _, e := range l.head.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			return fmt.Errorf("%w: a delta list", ErrMalformed)
		case e.Id.Equal(oidDistribution):
			if err := inScope(e.Value, cert); err != nil {
				return err
			}
		case e.Critical && !e.Id.Equal(oidAuthorityKey):
			return fmt.Errorf("%w: list: critical extension %s is not known", ErrMalformed, e.Id)
		}
	}
	return nil
}

func inScope(der []byte, cert *x509.Certificate) error {
	var d distribution
	if rest, err := asn1.Unmarshal(der, &d); err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: list: issuingDistributionPoint cannot be read", ErrMalformed)
	}
	switch {
	case d.Indirect || d.Attributes || d.Reasons.BitLength > 0:
		return fmt.Errorf("%w: the list is indirect, of attribute certificates or for some reasons only", ErrUnknown)
	case d.OnlyUsers && cert.IsCA, d.OnlyCAs && !cert.IsCA:
		return fmt.Errorf("%w: the list is for another kind of certificate", ErrUnknown)
	case len(d.Point.FullBytes) > 0 && !slices.ContainsFunc(points(d.Point), func(uri string) bool {
		return slices.Contains(cert.CRLDistributionPoints, uri)
	}):
		return fmt.Errorf("%w: the list is that of another distribution point", ErrUnknown)
	}
	return nil
}

// points are the addresses of a DistributionPointName.
func points(name asn1.RawValue) []string {
	const uri = 6 // GeneralName uniformResourceIdentifier
	rest := cryptobyte.String(name.Bytes)
	var names cryptobyte.String
	if !rest.ReadASN1(&names, tags.Tag(0).ContextSpecific().Constructed()) {
		return nil // nameRelativeToCRLIssuer
	}
	var out []string
	for !names.Empty() {
		var one cryptobyte.String
		var tag tags.Tag
		if !names.ReadAnyASN1(&one, &tag) {
			return nil
		}
		if tag == tags.Tag(uri).ContextSpecific() {
			out = append(out, string(one))
		}
	}
	return out
}
