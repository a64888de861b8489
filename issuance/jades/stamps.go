package jades

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/issuance/tsp"
)

// maxStamps is how many time-stamp tokens of one seal are looked at. Each means hashing the
// whole file; one archive time-stamp lasts for years.
const maxStamps = 16

// stampState is one token while it is judged.
type stampState struct {
	kind  string
	place int // index into etsiU, -1 for adoTst
	token tsp.Token
	// intact: it can be read, its signature holds, it covers the right bytes and the form allows it.
	intact  bool
	chain   []*x509.Certificate // from its signer to a trusted certificate; nil when there is none
	outcome Outcome
	reason  Reason
	words   string
}

func (s *stampState) set(o Outcome, r Reason, format string, args ...any) {
	s.outcome, s.reason, s.words = o, r, s.kind+": "+fmt.Sprintf(format, args...)
}

// examination is one seal while it is looked at.
type examination struct {
	sig      Signature
	payload  []byte
	opts     VerifyOptions
	fits     bool                // the signature fits
	certs    []*x509.Certificate // all that came along
	between  []*x509.Certificate // those that can stand in the middle of a chain
	stamps   []stampState        // in the order in which they were made
	many     bool                // there are more than are looked at
	evidence evidence
	tries    int // signatures checked so far
	said     []said
	pairs    []pair
	chain    []*x509.Certificate
	proven   time.Time
}

// collect reads all time-stamps and compares each with the bytes it must cover. It judges no authority.
func (e *examination) collect() {
	if e.sig.adoTst != nil {
		content := e.payload
		if e.sig.Encoded {
			content = []byte(encodeURL(content))
		}
		e.container(adoTst, -1, e.sig.adoTst, [][]byte{content})
	}
	for i, c := range e.sig.components {
		switch c.name {
		case sigTst:
			e.container(sigTst, i, c.value, [][]byte{[]byte(e.sig.signature)})
		case arcTst:
			var covered [][]byte
			if !slices.ContainsFunc(e.sig.components[:i], func(c component) bool { return c.clear }) {
				covered = e.sig.archived(e.payload, i)
			}
			e.container(arcTst, i, c.value, covered)
		}
	}
}

// container reads the tokens of one container; covered nil means that the bytes are not defined.
func (e *examination) container(kind string, place int, value json.RawMessage, covered [][]byte) {
	list, covers := tokensOf(value)
	bad := func(o Outcome, r Reason, words string) {
		s := stampState{kind: kind, place: place}
		s.set(o, r, "%s", words)
		e.stamps = append(e.stamps, s)
	}
	switch {
	case len(list) == 0:
		bad(Failed, ReasonTimestampUnread, "there is no time-stamp token in it that can be read")
		return
	case len(e.stamps)+len(list) > maxStamps:
		if !e.many {
			e.many = true
			bad(Unknown, ReasonTimestampForm, fmt.Sprintf("from here on there are more than %d time-stamps, which are not looked at", maxStamps))
		}
		return
	case kind == sigTst && len(list) > 1:
		bad(Failed, ReasonTimestampSeveral, fmt.Sprintf("it holds %d tokens, and baseline allows one", len(list)))
		return
	case covered == nil, kind == arcTst && covers != "" && covers != "all":
		bad(Unknown, ReasonTimestampForm, "what it covers is written in a form that is not known here")
		return
	}
	for _, der := range list {
		e.stamps = append(e.stamps, e.readStamp(kind, place, der, covered))
	}
}

func (e *examination) readStamp(kind string, place int, der []byte, covered [][]byte) stampState {
	s := stampState{kind: kind, place: place}
	t, reason, err := readToken(der, e.certs)
	switch {
	case err != nil:
		s.set(Failed, reason, "%v", err)
	case !t.Covers(covered...):
		s.token = t
		s.set(Failed, ReasonTimestampOther, "the time-stamp of %s covers other bytes than those in the file", stamp(t.Time))
	default:
		s.token, s.intact = t, true
	}
	return s
}

// judge asks for each time-stamp whether somebody trusted vouches for its authority, from the
// last one backwards: each must have been good at the present time or at the time of a later
// good one that covers it (EN 319 102-1, 5.6.2.4). It sets proven.
func (e *examination) judge() {
	existed, pending := e.opts.At, e.opts.At // pending counts in front of the container only
	place := len(e.sig.components)
	for i := range slices.Backward(e.stamps) {
		s := &e.stamps[i]
		if s.place != place {
			existed, place = pending, s.place
		}
		if !s.intact {
			continue
		}
		by := existed
		if s.kind == adoTst && !e.proven.IsZero() {
			by = e.proven // the signature covers it
		}
		e.trust(s, by)
		if s.outcome != OK || s.kind == adoTst {
			continue
		}
		if s.kind == arcTst && s.token.Time.Before(pending) {
			pending = s.token.Time
		}
		if e.proven.IsZero() || s.token.Time.Before(e.proven) {
			e.proven = s.token.Time
		}
	}
	e.order()
}

// trust judges one intact time-stamp that existed at the time by.
func (e *examination) trust(s *stampState, by time.Time) {
	t, name := s.token, authority(s.token.Signer)
	anchors := e.opts.TimestampTrust
	if anchors == nil {
		anchors = e.opts.Trust
	}
	if t.Time.After(by.Add(skew)) {
		s.set(Failed, ReasonTimestampOrder, "the time %s of %s lies after the time at which it existed already, %s", stamp(t.Time), name, stamp(by))
		s.intact = false
		return
	}
	unknown := func() {
		s.set(Unknown, ReasonTimestampAuthority, "covers the right bytes, but nobody trusted vouches for the authority %s that says it was on %s", name, stamp(t.Time))
	}
	if anchors == nil {
		unknown()
		return
	}
	chain, err := e.vouched(t, anchors, by)
	if err != nil {
		if then, err := t.Chain(anchors, e.between, t.Time); err == nil {
			s.chain = then
			s.set(Unknown, ReasonTimestampExpired, "the certificate of %s has run out since, and no later time-stamp proves that it was made before", name)
			return
		}
		unknown()
		return
	}
	s.chain = chain
	for i, c := range chain[:len(chain)-1] {
		if at, revoked := e.revoked(c, chain[i+1], by); revoked {
			o, words := Unknown, "the authority %s was withdrawn on %s, and nothing proves that its time-stamp of %s was made before"
			if !at.After(t.Time) {
				o, words = Failed, "the authority %s was withdrawn on %s, before its time-stamp of %s"
			}
			s.set(o, ReasonTimestampRevoked, words, name, stamp(at), stamp(t.Time))
			return
		}
	}
	s.set(OK, ReasonFine, "%s by %s", stamp(t.Time), name)
}

// order looks at the times of the time-stamps among themselves and at that of the certificate.
func (e *examination) order() {
	leaf := e.sig.Leaf()
	for i := range e.stamps {
		s := &e.stamps[i]
		if s.kind != sigTst || !s.intact {
			continue
		}
		if leaf != nil && s.token.Time.After(leaf.NotAfter) {
			s.set(Failed, ReasonTimestampAfterExpiry, "the time-stamp of %s was made after the seal certificate had ended on %s, so it does not prove that the seal was made before", stamp(s.token.Time), stamp(leaf.NotAfter))
			s.intact = false
		} else if e.sig.SealedAt.After(s.token.Time.Add(skew)) {
			s.set(Failed, ReasonTimestampBeforeClaim, "the seal existed on %s, but says it was made later, on %s", stamp(s.token.Time), stamp(e.sig.SealedAt))
		}
	}
}

// vouched is the chain from the signer of a token to one of the anchors, good at the time at. One
// that was found for another token of the same signer will do when all in it were in their time.
func (e *examination) vouched(t tsp.Token, anchors *x509.CertPool, at time.Time) ([]*x509.Certificate, error) {
	for _, s := range e.stamps {
		old := func(c *x509.Certificate) bool { return !within(c, at) }
		if s.chain != nil && s.token.Signer.Equal(t.Signer) && !slices.ContainsFunc(s.chain, old) {
			return s.chain, nil
		}
	}
	return t.Chain(anchors, e.between, at)
}

// authority is the name of who signed a token.
func authority(c *x509.Certificate) string {
	switch {
	case c == nil:
		return "(no certificate)"
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	}
	return c.Subject.String()
}

// report turns the time-stamps into findings and the part of Proof about them.
func (e *examination) report(proof *Proof) []Finding {
	var out []Finding
	for _, s := range e.stamps {
		out = append(out, Finding{Part: PartTimestamps, Outcome: s.outcome, Reason: s.reason, Words: s.words})
		t := Timestamp{Kind: s.kind, Outcome: s.outcome, Reason: s.reason}
		if s.token.Signer != nil {
			t.Time, t.Authority, t.Certificate = s.token.Time.UTC(), authority(s.token.Signer), s.token.Signer
		}
		proof.Timestamps = append(proof.Timestamps, t)
	}
	return out
}
