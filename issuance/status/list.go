package status

import (
	"context"
	"crypto/x509"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// Purposes of bitstrings (Bitstring Status List, 2.2).
const (
	PurposeRevocation = "revocation"
	PurposeSuspension = "suspension"
)

// List is a list that was read and whose signature fits.
type List struct {
	// URI is the address that the list says it has; "" when it says none.
	URI string
	// Issuer is the id of who issued it, of a bitstring.
	Issuer string
	// Purposes are those of a bitstring; none for a token list, whose values say all.
	Purposes []string
	// Issued and Expires bound when it counts, UTC; zero where the list does not say.
	Issued, Expires time.Time
	// TTL is after how long a fresh copy should be fetched; 0: it does not say.
	TTL time.Duration
	// Alg and Chain are who signed: the first certificate is the signer's. Nobody has vouched for
	// it unless Options.Trust was given.
	Alg   string
	Chain []*x509.Certificate

	entries entries
}

// Len returns how many entries the list has.
func (l List) Len() int { return l.entries.len() }

// At returns the value of an entry, or ErrRange. Of a bitstring it is 0 or 1, to be understood by
// its purpose.
func (l List) At(index int) (Value, error) { return l.entries.at(index) }

type bitstringCredential struct {
	Context    []string         `json:"@context"`
	ID         string           `json:"id"`
	Type       []string         `json:"type"`
	Issuer     issuer           `json:"issuer"`
	ValidFrom  string           `json:"validFrom"`
	ValidUntil string           `json:"validUntil"`
	Subject    bitstringSubject `json:"credentialSubject"`
}

type issuer struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

type bitstringSubject struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Purpose string `json:"statusPurpose"`
	List    string `json:"encodedList"`
	TTL     int64  `json:"ttl,omitempty"` // milliseconds
}

// Bitstring says whose bitstring it is and what for.
type Bitstring struct {
	URI     string // of the list
	Purpose string // PurposeRevocation or PurposeSuspension
	// Issuer is a URL, and Name in words whom it names.
	Issuer, Name string
}

// SignBitstring makes a BitstringStatusListCredential as a compact JWS (Bitstring Status List, 2.3;
// VC-JOSE-COSE, 3.1.1): set are the entries that are Invalid, or for PurposeSuspension those that
// are Suspended. Errors are those of s, jades.ErrKey and jades.ErrBadSignature.
func SignBitstring(ctx context.Context, s jades.Signer, t Terms, b Bitstring, a *Array) ([]byte, error) {
	value := Invalid
	if b.Purpose == PurposeSuspension {
		value = Suspended
	}
	list, err := a.bitstring(value)
	if err != nil {
		return nil, err
	}
	return sign(ctx, s, t.Key, header{Typ: TypeBitstring, Cty: "vc"}, bitstringCredential{
		Context: []string{contextVC}, ID: b.URI, Type: []string{typeVC, typeBitstring},
		Issuer: issuer{b.Issuer, b.Name}, ValidFrom: t.At.UTC().Format(time.RFC3339), ValidUntil: t.Until.UTC().Format(time.RFC3339),
		Subject: bitstringSubject{ID: b.URI + "#list", Type: typeList, Purpose: b.Purpose, List: list, TTL: t.TTL.Milliseconds()},
	})
}

const (
	contextVC     = "https://www.w3.org/ns/credentials/v2"
	typeVC        = "VerifiableCredential"
	typeBitstring = "BitstringStatusListCredential"
	typeList      = "BitstringStatusList"
)

// ReadBitstring reads a BitstringStatusListCredential in the form of a compact JWS, as the
// algorithm of Bitstring Status List, 3.2 does up to the look at one entry; that is List.At.
// Entries have one bit. Errors: ErrMalformed, ErrVerification, ErrExpired, ErrLength.
func ReadBitstring(text []byte, o Options) (List, error) {
	s, err := open(text, TypeBitstring, o)
	if err != nil {
		return List{}, err
	}
	l, err := readBitstring(s.claims)
	if err != nil {
		return List{}, err
	}
	l.Alg, l.Chain = s.alg, s.chain
	if o.Purpose != "" && !slices.Contains(l.Purposes, o.Purpose) {
		return List{}, fmt.Errorf("%w: it is not about %.40s", ErrVerification, o.Purpose)
	}
	return l, l.fits(o)
}

// readBitstring reads what is signed.
func readBitstring(claims []byte) (List, error) {
	vc, err := readObject(claims)
	if err != nil {
		return List{}, err
	}
	if !vc.has("@context", contextVC) || !vc.has("type", typeVC) || !vc.has("type", typeBitstring) {
		return List{}, fmt.Errorf("%w: it is no %s of VC Data Model 2.0", ErrMalformed, typeBitstring)
	}
	subject, err := vc.member("credentialSubject")
	if err != nil {
		return List{}, err
	}
	l := List{URI: vc.text("id"), Issuer: vc.text("issuer"), Purposes: subject.texts("statusPurpose")}
	if l.Issuer == "" {
		if named, err := vc.member("issuer"); err == nil {
			l.Issuer = named.text("id")
		}
	}
	switch {
	case l.Issuer == "":
		return List{}, fmt.Errorf("%w: it names no issuer", ErrMalformed)
	case !subject.has("type", typeList):
		return List{}, fmt.Errorf("%w: its subject is no %s", ErrMalformed, typeList)
	case len(l.Purposes) == 0:
		return List{}, fmt.Errorf("%w: it has no statusPurpose", ErrMalformed)
	}
	if size, err := subject.number("statusSize", math.MaxInt32); err != nil || size > 1 {
		return List{}, fmt.Errorf("%w: entries of more than one bit are not read here", ErrMalformed)
	}
	if l.Issued, err = vc.moment("validFrom"); err != nil {
		return List{}, err
	}
	if l.Expires, err = vc.moment("validUntil"); err != nil {
		return List{}, err
	}
	ttl, err := subject.number("ttl", year9999)
	if err != nil {
		return List{}, err
	}
	l.TTL = time.Duration(min(ttl, maxTTL.Seconds()*1000)) * time.Millisecond
	l.entries, err = unpackBitstring(subject.text("encodedList"))
	return l, err
}

// maxTTL keeps a time to live in the range of a Duration.
const maxTTL = 100 * 366 * 24 * time.Hour

type tokenClaims struct {
	Sub  string    `json:"sub"`
	Iat  int64     `json:"iat"`
	Exp  int64     `json:"exp"`
	TTL  int64     `json:"ttl"` // seconds
	List tokenList `json:"status_list"`
}

type tokenList struct {
	Bits int    `json:"bits"`
	List string `json:"lst"`
}

// SignToken makes a Status List Token in JWT form (Token Status List, 5.1), with two bits per
// entry, for the address uri. Errors are those of SignBitstring.
func SignToken(ctx context.Context, s jades.Signer, t Terms, uri string, a *Array) ([]byte, error) {
	list, err := a.list()
	if err != nil {
		return nil, err
	}
	return sign(ctx, s, t.Key, header{Typ: TypeToken}, tokenClaims{
		Sub: uri, Iat: t.At.Unix(), Exp: t.Until.Unix(), TTL: max(int64(t.TTL.Seconds()), 1), List: tokenList{2, list},
	})
}

// ReadToken reads a Status List Token in JWT form by the rules of Token Status List, 8.3, up to
// the look at one entry; that is List.At. Errors: ErrMalformed, ErrVerification, ErrExpired.
func ReadToken(text []byte, o Options) (List, error) {
	s, err := open(text, TypeToken, o)
	if err != nil {
		return List{}, err
	}
	l, err := readToken(s.claims)
	if err != nil {
		return List{}, err
	}
	l.Alg, l.Chain = s.alg, s.chain
	return l, l.fits(o)
}

// readToken reads what is signed.
func readToken(text []byte) (List, error) {
	claims, err := readObject(text)
	if err != nil {
		return List{}, err
	}
	l := List{URI: claims.text("sub")}
	if l.URI == "" || claims["iat"] == nil {
		return List{}, fmt.Errorf("%w: sub or iat is missing", ErrMalformed)
	}
	if l.Issued, err = claims.seconds("iat"); err != nil {
		return List{}, err
	}
	if l.Expires, err = claims.seconds("exp"); err != nil {
		return List{}, err
	}
	ttl, err := claims.number("ttl", math.MaxInt64)
	if err != nil || claims["ttl"] != nil && ttl == 0 {
		return List{}, fmt.Errorf("%w: ttl is not a positive number", ErrMalformed)
	}
	l.TTL = time.Duration(min(ttl, maxTTL.Seconds())*1000) * time.Millisecond
	list, err := claims.member("status_list")
	if err != nil {
		return List{}, err
	}
	bits, err := list.number("bits", 8)
	if err != nil || bits != math.Trunc(bits) {
		return List{}, fmt.Errorf("%w: bits is not 1, 2, 4 or 8", ErrMalformed)
	}
	l.entries, err = unpackList(int(bits), list.text("lst"))
	return l, err
}

// fits says whether it is the list that was asked for and of the present.
func (l List) fits(o Options) error {
	if o.URI != "" && l.URI != o.URI {
		return fmt.Errorf("%w: it is the list %.200s, not %.200s", ErrVerification, l.URI, o.URI)
	}
	if err := l.trusted(o); err != nil || o.At.IsZero() {
		return err
	}
	if !l.Expires.IsZero() && !o.At.Before(l.Expires) {
		return fmt.Errorf("%w: %w: it counted until %s", ErrVerification, ErrExpired, l.Expires.Format(time.RFC3339))
	}
	if l.Issued.After(o.At.Add(skew)) {
		return fmt.Errorf("%w: %w: it counts from %s", ErrVerification, ErrExpired, l.Issued.Format(time.RFC3339))
	}
	return nil
}

// trusted says whether somebody vouches for who signed.
func (l List) trusted(o Options) error {
	if o.Trust == nil || len(l.Chain) == 0 {
		return nil
	}
	at := o.At
	if at.IsZero() {
		at = l.Issued
	}
	between := x509.NewCertPool()
	for _, c := range l.Chain[1:] {
		between.AddCert(c)
	}
	_, err := l.Chain[0].Verify(x509.VerifyOptions{
		Roots: o.Trust, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("%w: nobody trusted vouches for its signature: %w", ErrVerification, err)
	}
	return nil
}
