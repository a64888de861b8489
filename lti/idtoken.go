package lti

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const (
	clockSkew     = time.Minute      // clocks of universities differ by seconds; Settings.ClockSkew replaces it
	maxTokenAge   = 10 * time.Minute // since iat
	maxTokenLife  = 24 * time.Hour   // exp - iat
	defaultAlg    = "RS256"
	latestSeconds = 1 << 37 // some thousand years: beyond it a number is no time
)

// idToken is a token whose form has been checked. Its claims are not yet to be trusted:
// before the signature they serve to choose the refusal only, never the key set.
type idToken struct {
	compact   string
	signature []byte
	alg, kid  string
	claims    object
}

// parseToken checks form and header of an id_token of reg. The compact form is checked
// here, character by character, because the JOSE library would also take the JSON form,
// white space, padding, unknown critical extensions and any typ. What could be read is
// returned beside an error, for the trace.
func parseToken(compact string, reg Registration) (idToken, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return idToken{}, refuse(CodeTokenForm, "3 parts", fmt.Sprintf("%d parts", len(parts)))
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if part == "" || !base64URL(part) {
			return idToken{}, refuse(CodeTokenForm, "base64url", "")
		}
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return idToken{}, refuse(CodeTokenForm, "base64url", "")
		}
	}
	token := idToken{compact: compact, signature: decoded[2]}
	header, err := tokenObject(decoded[0])
	if err != nil {
		return token, err
	}
	if err := token.checkHeader(header, reg.Settings.Algorithms); err != nil {
		return token, err
	}
	token.claims, err = tokenObject(decoded[1])
	return token, err
}

// unverifiedClaims reads the claims part alone, to find out whose a token says it is.
func unverifiedClaims(part string) (object, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, refuse(CodeTokenForm, "base64url", "")
	}
	return tokenObject(raw)
}

func base64URL(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func tokenObject(raw []byte) (object, error) {
	o, err := parseObject(raw)
	if errors.Is(err, errDuplicateMember) {
		return nil, refuse(CodeTokenDuplicate, "", "").because(err)
	}
	if err != nil {
		return nil, refuse(CodeTokenMalformed, "a JSON object", "").because(err)
	}
	return o, nil
}

// checkHeader takes alg and kid of a header that holds nothing else of consequence.
func (t *idToken) checkHeader(h object, allowed []string) error {
	if len(allowed) == 0 {
		allowed = []string{defaultAlg}
	}
	var is presence
	if t.alg, is = h.text("alg"); is != present || !slices.Contains(allowed, t.alg) {
		return refuse(CodeAlg, strings.Join(allowed, ", "), t.alg)
	}
	for _, name := range []string{"crit", "b64"} {
		if _, ok := h[name]; ok {
			return refuse(CodeHeaderCritical, "", name)
		}
	}
	for _, name := range []string{"jku", "jwk", "x5u", "x5c"} {
		if _, ok := h[name]; ok {
			return refuse(CodeHeaderKey, "", name)
		}
	}
	if typ, is := h.text("typ"); is == wrongType || is == present && !strings.EqualFold(typ, "JWT") {
		return refuse(CodeHeaderType, "JWT", typ)
	}
	if t.kid, is = h.text("kid"); is != present || t.kid == "" {
		return refuse(CodeKIDMissing, "kid", "")
	}
	return nil
}

// check runs all checks of an id_token against its login, in the order of the digest of
// the Security Framework (section 5.1.3): parties, key, signature, times, nonce, and then
// what the message says.
func (t *Tool) check(ctx context.Context, l received, tr *Trace) (Launch, error) {
	issued, err := t.checkToken(ctx, l.token, l.registration)
	if err != nil {
		return Launch{}, err
	}
	if err := checkNonce(l.token.claims, t.nonceOf(l.state)); err != nil {
		return Launch{}, err
	}
	reg := l.registration
	launch := Launch{
		RegistrationID: reg.ID,
		OrganisationID: reg.OrganisationID,
		Issuer:         reg.Issuer,
		ClientID:       reg.ClientID,
		IssuedAt:       issued,
	}
	if err := t.checkMessage(ctx, l, &launch, tr); err != nil {
		return Launch{}, err
	}
	tr.accepted(launch)
	tr.Took = t.deps.Now().Sub(tr.began).Microseconds()
	return launch, nil
}

// checkToken checks what launches and notices have in common, and returns iat.
func (t *Tool) checkToken(ctx context.Context, token idToken, reg Registration) (time.Time, error) {
	if err := checkParties(token.claims, reg); err != nil {
		return time.Time{}, err
	}
	if err := t.checkSignature(ctx, token, reg); err != nil {
		return time.Time{}, err
	}
	return checkTimes(token.claims, t.deps.Now(), reg.skew())
}

// skew is the difference of the clocks that is tolerated.
func (r Registration) skew() time.Duration {
	if r.Settings.ClockSkew > 0 {
		return time.Duration(r.Settings.ClockSkew) * time.Second
	}
	return clockSkew
}

// checkParties compares iss, aud and azp with the registration the login was for.
func checkParties(c object, reg Registration) error {
	iss, is := c.text("iss")
	if is != present || iss != reg.Issuer {
		if is == present && iss == otherSlash(reg.Issuer) {
			return refuse(CodeIssuerSlash, reg.Issuer, iss)
		}
		return refuse(CodeIssuerMismatch, reg.Issuer, iss)
	}
	audiences, err := readAudience(c)
	if err != nil {
		return err
	}
	ours, foreign := false, ""
	for _, a := range audiences {
		switch {
		case a == reg.ClientID:
			ours = true
		case !slices.Contains(reg.Settings.TrustedAudiences, a):
			foreign = a
		}
	}
	azp, azpIs := c.text("azp")
	switch {
	case !ours:
		return refuse(CodeAudienceMismatch, reg.ClientID, strings.Join(audiences, ", "))
	case azpIs == wrongType || azpIs == present && azp != reg.ClientID && !slices.Contains(reg.Settings.TrustedAZP, azp):
		return refuse(CodeAZPMismatch, reg.ClientID, azp)
	case len(audiences) > 1 && azpIs == absent:
		return refuse(CodeAZPMissing, reg.ClientID, "")
	case foreign != "":
		return refuse(CodeAudienceUntrusted, reg.ClientID, foreign)
	}
	return nil
}

func readAudience(c object) ([]string, error) {
	if one, is := c.text("aud"); is == present {
		return []string{one}, nil
	}
	many, is := c.texts("aud")
	if is == wrongType {
		return nil, refuse(CodeTokenMalformed, "aud as text or a list of text", "")
	}
	return many, nil
}

func (t *Tool) checkSignature(ctx context.Context, token idToken, reg Registration) error {
	keys, err := t.platform.find(ctx, reg, token.kid)
	switch {
	case errors.Is(err, errKeyUnknown):
		return refuse(CodeKIDUnknown, "", token.kid)
	case errors.Is(err, errKeyWeak):
		return refuse(CodeKeyWeak, fmt.Sprintf("%d bits", minModulusBits), token.kid)
	case err != nil:
		return refuse(CodeKeysUnavailable, reg.JWKSURL, "").because(err)
	}
	refused := checkKeys(token, keys)
	if refused == nil {
		return nil
	}
	// A platform may have changed the key and kept its name: the key set is read again, as
	// seldom as for an unknown name.
	if renewed := t.platform.renew(ctx, reg, token.kid); renewed != nil && checkKeys(token, renewed) == nil {
		return nil
	}
	return refused
}

// checkKeys returns nil when one of the keys has made the signature.
func checkKeys(token idToken, keys []publicKey) error {
	var refused error = refuse(CodeKIDUnknown, token.alg, token.kid) // the kid is there, for another algorithm
	for _, key := range keys {
		if !key.fits(token.alg) {
			continue
		}
		if verify(token, key) {
			return nil
		}
		refused = refuse(CodeSignature, "", "")
	}
	return refused
}

// verify checks the signature over the parts as they were received. The library's function
// for whole tokens would take them apart a second time.
func verify(token idToken, key publicKey) bool {
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(token.alg))
	if err != nil {
		return false
	}
	input := token.compact[:strings.LastIndexByte(token.compact, '.')]
	return verifier.Verify([]byte(input), token.signature, key.key) == nil
}

// checkTimes checks exp, iat and nbf and returns iat.
func checkTimes(c object, now time.Time, skew time.Duration) (time.Time, error) {
	exp, err := readTime(c, "exp", CodeExpMissing)
	if err != nil {
		return time.Time{}, err
	}
	iat, err := readTime(c, "iat", CodeIATMissing)
	if err != nil {
		return time.Time{}, err
	}
	clock := now.UTC().Format(time.RFC3339)
	switch {
	case !now.Before(exp.Add(skew)):
		return time.Time{}, refuse(CodeExpired, "later than "+clock, exp.Format(time.RFC3339))
	case iat.After(now.Add(skew)):
		return time.Time{}, refuse(CodeIATFuture, "at most "+clock, iat.Format(time.RFC3339))
	case iat.Before(now.Add(-maxTokenAge - skew)):
		return time.Time{}, refuse(CodeIATOld, "about "+clock, iat.Format(time.RFC3339))
	case exp.Sub(iat) > maxTokenLife || !exp.After(iat):
		return time.Time{}, refuse(CodeLifetime, "at most "+maxTokenLife.String(), exp.Sub(iat).String())
	}
	if _, ok := c.raw("nbf"); ok {
		nbf, err := readTime(c, "nbf", CodeNotBefore)
		if err != nil {
			return time.Time{}, err
		}
		if nbf.After(now.Add(skew)) {
			return time.Time{}, refuse(CodeNotBefore, "at most "+clock, nbf.Format(time.RFC3339))
		}
	}
	return iat, nil
}

// readTime reads a NumericDate (RFC 7519, section 2); fractions of a second are cut.
func readTime(c object, name, missing string) (time.Time, error) {
	seconds, is := c.number(name)
	switch {
	case is == absent:
		return time.Time{}, refuse(missing, name, "")
	case is == wrongType || math.Abs(seconds) > latestSeconds:
		return time.Time{}, refuse(CodeTokenMalformed, name+" as a number of seconds", "")
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// checkNonce compares with the nonce that was made for this very state.
func checkNonce(c object, want string) error {
	nonce, is := c.text("nonce")
	if is != present || nonce == "" {
		return refuse(CodeNonceMissing, "nonce", "")
	}
	if !same(nonce, want) {
		return refuse(CodeNonceMismatch, "", mask(nonce))
	}
	return nil
}
