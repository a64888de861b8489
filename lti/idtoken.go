package lti

import (
	"context"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const (
	clockSkew     = time.Minute      // clocks of universities differ by seconds
	maxTokenAge   = 10 * time.Minute // since iat
	maxTokenLife  = 24 * time.Hour   // exp - iat
	allowedAlg    = "RS256"
	latestSeconds = 1 << 37 // some thousand years: beyond it a number is no time
)

// idToken is a token whose form has been checked. Its claims are not yet to be trusted:
// before the signature they serve to choose the refusal only, never the key set.
type idToken struct {
	compact string
	kid     string
	claims  object
}

// parseToken checks form and header of an id_token. The compact form is checked here,
// character by character, because the JOSE library would also take the JSON form, white
// space, padding, unknown critical extensions and any typ.
func parseToken(compact string) (idToken, error) {
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
	header, err := tokenObject(decoded[0])
	if err != nil {
		return idToken{}, err
	}
	kid, err := checkHeader(header)
	if err != nil {
		return idToken{}, err
	}
	claims, err := tokenObject(decoded[1])
	if err != nil {
		return idToken{}, err
	}
	return idToken{compact: compact, kid: kid, claims: claims}, nil
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

// checkHeader returns the kid of a header that holds nothing else of consequence.
func checkHeader(h object) (string, error) {
	alg, is := h.text("alg")
	if is != present || alg != allowedAlg {
		return "", refuse(CodeAlg, allowedAlg, alg)
	}
	for _, name := range []string{"crit", "b64"} {
		if _, ok := h[name]; ok {
			return "", refuse(CodeHeaderCritical, "", name)
		}
	}
	for _, name := range []string{"jku", "jwk", "x5u", "x5c"} {
		if _, ok := h[name]; ok {
			return "", refuse(CodeHeaderKey, "", name)
		}
	}
	if typ, is := h.text("typ"); is == wrongType || is == present && !strings.EqualFold(typ, "JWT") {
		return "", refuse(CodeHeaderType, "JWT", typ)
	}
	kid, is := h.text("kid")
	if is != present || kid == "" {
		return "", refuse(CodeKIDMissing, "kid", "")
	}
	return kid, nil
}

// check runs all checks of an id_token against its login, in the order of the digest of
// the Security Framework (section 5.1.3): parties, key, signature, times, nonce, and then
// what the message says.
func (t *Tool) check(ctx context.Context, token idToken, st LoginState) (Launch, error) {
	reg := st.Registration
	if err := checkParties(token.claims, reg); err != nil {
		return Launch{}, err
	}
	if err := t.checkSignature(ctx, token, reg); err != nil {
		return Launch{}, err
	}
	issued, err := checkTimes(token.claims, t.deps.Now())
	if err != nil {
		return Launch{}, err
	}
	if err := checkNonce(token.claims, st.NonceHash); err != nil {
		return Launch{}, err
	}
	launch := Launch{
		RegistrationID: reg.ID,
		OrganisationID: reg.OrganisationID,
		Issuer:         reg.Issuer,
		ClientID:       reg.ClientID,
		IssuedAt:       issued,
	}
	if err := t.checkMessage(ctx, token.claims, st, &launch); err != nil {
		return Launch{}, err
	}
	return launch, nil
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
		if a == reg.ClientID {
			ours = true
		} else {
			foreign = a
		}
	}
	azp, azpIs := c.text("azp")
	switch {
	case !ours:
		return refuse(CodeAudienceMismatch, reg.ClientID, foreign)
	case azpIs == wrongType || azpIs == present && azp != reg.ClientID:
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
	for _, key := range keys {
		if verify(token.compact, key) {
			return nil
		}
	}
	return refuse(CodeSignature, "", "")
}

func verify(compact string, key *rsa.PublicKey) bool {
	_, err := jws.Verify([]byte(compact), jws.WithKey(jwa.RS256, key))
	return err == nil
}

// checkTimes checks exp, iat and nbf and returns iat.
func checkTimes(c object, now time.Time) (time.Time, error) {
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
	case !now.Before(exp.Add(clockSkew)):
		return time.Time{}, refuse(CodeExpired, "later than "+clock, exp.Format(time.RFC3339))
	case iat.After(now.Add(clockSkew)):
		return time.Time{}, refuse(CodeIATFuture, "at most "+clock, iat.Format(time.RFC3339))
	case iat.Before(now.Add(-maxTokenAge - clockSkew)):
		return time.Time{}, refuse(CodeIATOld, "about "+clock, iat.Format(time.RFC3339))
	case exp.Sub(iat) > maxTokenLife || !exp.After(iat):
		return time.Time{}, refuse(CodeLifetime, "at most "+maxTokenLife.String(), exp.Sub(iat).String())
	}
	if _, ok := c.raw("nbf"); ok {
		nbf, err := readTime(c, "nbf", CodeNotBefore)
		if err != nil {
			return time.Time{}, err
		}
		if nbf.After(now.Add(clockSkew)) {
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
func checkNonce(c object, hash string) error {
	nonce, is := c.text("nonce")
	if is != present || nonce == "" {
		return refuse(CodeNonceMissing, "nonce", "")
	}
	if subtle.ConstantTimeCompare([]byte(digest(nonce)), []byte(hash)) != 1 {
		return refuse(CodeNonceMismatch, "", mask(nonce))
	}
	return nil
}
