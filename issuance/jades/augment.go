package jades

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// ErrAugment is returned when a file cannot be given what was asked for: it is not a sealed
// file with exactly one seal that fits, or what must come before is missing, or what must come
// once is there already. The file stays as it is; the text says what is wrong.
var ErrAugment = errors.New("nothing can be added to this seal")

// ErrToken is returned for a time-stamp token that would be wrong in the file: one that cannot
// be read, covers other bytes, or is of a time that cannot be. Ask the authority, or another one, anew.
var ErrToken = errors.New("time-stamp token does not belong to this seal")

// SignatureImprint returns the bytes that a time-stamp of the signature (sigTst) must cover:
// the base64url text of the signature value, in ASCII (TS 119 182-1 v1.2.1, 5.3.4). The
// authority is given their hash.
func SignatureImprint(file []byte) ([]byte, error) {
	s, err := open(file)
	if err != nil {
		return nil, err
	}
	return []byte(s.signature), nil
}

// AddTimestamp adds the time-stamp of the signature and so makes level B-T of level B-B. der
// is a TimeStampToken (RFC 3161, 2.4.2) in DER, not the response around it. The file must not
// carry anything added after sealing: what was collected before the time-stamp would be older
// than the proof of time.
func AddTimestamp(file, der []byte) ([]byte, error) {
	s, err := open(file)
	if err != nil {
		return nil, err
	}
	if len(s.components) > 0 {
		return nil, fmt.Errorf("%w: it carries %s already", ErrAugment, s.components[0].title())
	}
	t, err := s.fitting(der, []byte(s.signature))
	if err != nil {
		return nil, err
	}
	switch leaf := s.Leaf(); {
	case t.Time.After(leaf.NotAfter):
		return nil, fmt.Errorf("%w: its time %s lies after the end of the seal certificate, %s", ErrToken, stamp(t.Time), stamp(leaf.NotAfter))
	case t.Time.Before(s.SealedAt.Add(-skew)):
		return nil, fmt.Errorf("%w: its time %s lies before the sealing, %s", ErrToken, stamp(t.Time), stamp(s.SealedAt))
	}
	return s.add(file, sigTst, tokens(der))
}

// AddValues adds certificates and revocation data. On a file of level B-T they become xVals
// and rVals, which makes level B-LT: both must be there. On a file of level B-LTA they are
// taken as those of the authority of the last archive time-stamp and become tstVD, the form
// that DSS writes and reads since 5.8; the next AddArchive covers them. Twice the same step
// without a time-stamp between is refused.
func AddValues(file []byte, v Values) ([]byte, error) {
	s, err := open(file)
	if err != nil {
		return nil, err
	}
	certs, lists := v.certificates(), v.revocation()
	switch {
	case len(certs) > maxValues || len(v.OCSP) > maxValues || len(v.CRLs) > maxValues || size(v.OCSP)+size(v.CRLs) > maxEvidence:
		return nil, fmt.Errorf("%w: more certificates or revocation data than a reader takes", ErrAugment)
	case !s.carries(sigTst):
		return nil, fmt.Errorf("%w: it has no time-stamp yet, and revocation data prove nothing without one", ErrAugment)
	case s.carries(arcTst):
		return s.addLater(file, certs, lists)
	case s.carries(xVals) || s.carries(rVals) || s.carries(tstVD):
		return nil, fmt.Errorf("%w: it has certificates and revocation data already", ErrAugment)
	case len(certs) == 0 || len(lists) == 0:
		return nil, fmt.Errorf("%w: certificates or revocation data are missing", ErrAugment)
	}
	out, err := s.add(file, xVals, certs)
	if err != nil {
		return nil, err
	}
	return s.add(out, rVals, lists)
}

// addLater adds tstVD behind an archive time-stamp.
func (s Signature) addLater(file []byte, certs []any, lists map[string]any) ([]byte, error) {
	if last := s.components[len(s.components)-1].name; last != arcTst {
		return nil, fmt.Errorf("%w: it has data for its last time-stamp already", ErrAugment)
	}
	value := make(map[string]any)
	if len(certs) > 0 {
		value[xVals] = certs
	}
	if len(lists) > 0 {
		value[rVals] = lists
	}
	if len(value) == 0 {
		return nil, fmt.Errorf("%w: certificates and revocation data are missing", ErrAugment)
	}
	return s.add(file, tstVD, value)
}

// ArchiveImprint returns the bytes that an archive time-stamp (arcTst) must cover when it is
// added now: content, protected header and signature as they stand in the file, each followed
// by a dot, and all elements of etsiU without anything between (TS 119 182-1 v1.2.1, 5.3.6.3.1).
func ArchiveImprint(file []byte) ([]byte, error) {
	f, err := parseOne(file)
	if err != nil {
		return nil, err
	}
	return bytes.Join(f.Signatures[0].archived(f.Payload, len(f.Signatures[0].components)), nil), nil
}

// AddArchive adds an archive time-stamp over everything in the file. The first one makes level
// B-LTA of level B-LT; each further one renews the proof before the certificate of the last
// authority ends or its algorithm falls, and AddValues before it adds that authority's data.
func AddArchive(file, der []byte) ([]byte, error) {
	f, err := parseOne(file)
	if err != nil {
		return nil, err
	}
	s := f.Signatures[0]
	for _, name := range []string{sigTst, xVals, rVals} {
		if !s.carries(name) {
			return nil, fmt.Errorf("%w: %s must be there before an archive time-stamp", ErrAugment, name)
		}
	}
	t, err := s.fitting(der, s.archived(f.Payload, len(s.components))...)
	if err != nil {
		return nil, err
	}
	for _, c := range s.components {
		list, _ := tokensOf(c.value)
		for _, der := range list {
			if earlier, _, err := readToken(der, s.Extra); err == nil && t.Time.Before(earlier.Time.Add(-skew)) {
				return nil, fmt.Errorf("%w: its time %s lies before that of %s, %s", ErrToken, stamp(t.Time), c.name, stamp(earlier.Time))
			}
		}
	}
	return s.add(file, arcTst, tokens(der))
}

// parseOne reads a file and wants one seal that fits, and an etsiU that can be continued.
func parseOne(file []byte) (File, error) {
	f, err := Parse(file)
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrAugment, err)
	}
	if n := len(f.Signatures); n != 1 {
		return File{}, fmt.Errorf("%w: the file carries %d seals", ErrAugment, n)
	}
	s := f.Signatures[0]
	if found := s.integrity(f.Payload); found.Outcome != OK {
		return File{}, fmt.Errorf("%w: %s", ErrAugment, found.Words)
	}
	for _, p := range s.problems {
		if p.Outcome == Failed || p.Reason == ReasonTimestampsUnread {
			return File{}, fmt.Errorf("%w: %s", ErrAugment, p.Words)
		}
	}
	if i := slices.IndexFunc(s.components, func(c component) bool { return c.clear }); i >= 0 {
		return File{}, fmt.Errorf("%w: element %d of etsiU is not base64url-encoded, and the bytes of such a one are not defined", ErrAugment, i+1)
	}
	return f, nil
}

func open(file []byte) (Signature, error) {
	f, err := parseOne(file)
	if err != nil {
		return Signature{}, err
	}
	return f.Signatures[0], nil
}

// fitting reads a token and compares it with the bytes that it must cover.
func (s Signature) fitting(der []byte, covered ...[]byte) (tsp.Token, error) {
	t, _, err := readToken(der, s.Extra)
	if err != nil {
		return tsp.Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if !t.Covers(covered...) {
		return tsp.Token{}, fmt.Errorf("%w: it covers other bytes", ErrToken)
	}
	return t, nil
}

// archived is what an archive time-stamp at place n of etsiU covers, in parts.
func (s Signature) archived(payload []byte, n int) [][]byte {
	if s.Encoded {
		payload = []byte(encodeURL(payload))
	}
	dot := []byte(".")
	out := [][]byte{payload, dot, []byte(s.protected), dot, []byte(s.signature), dot}
	for _, c := range s.components[:n] {
		out = append(out, []byte(c.text))
	}
	return out
}

// add puts one more element into etsiU and reads the result as a stranger would.
func (s Signature) add(file []byte, name string, value any) ([]byte, error) {
	element, err := encoded(name, value)
	if err != nil {
		return nil, err
	}
	where, err := locate(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAugment, err)
	}
	out := where.with(file, element)
	f, err := parseOne(out)
	if err != nil {
		return nil, err
	}
	after := f.Signatures[0]
	last := after.components[len(after.components)-1]
	if after.protected != s.protected || after.signature != s.signature || last.text != element {
		return nil, fmt.Errorf("%w: the file does not come back unchanged", ErrAugment)
	}
	return out, nil
}

func tokens(der []byte) any {
	return map[string]any{"tstTokens": pkis([][]byte{der})}
}

func size(list [][]byte) int {
	n := 0
	for _, der := range list {
		n += len(der)
	}
	return n
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
