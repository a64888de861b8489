package tsp

import (
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // G505: ESSCertID names a certificate by SHA-1; the signature does not depend on it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
)

// signer is the one SignerInfo of a token, with what it signs.
type signer struct {
	info    signerInfo
	content []byte
}

// find returns the certificate that the SignerInfo names.
func (s signer) find(lists ...[]*x509.Certificate) (*x509.Certificate, error) {
	id := s.info.ID
	var is func(*x509.Certificate) bool
	switch {
	case id.Class == asn1.ClassContextSpecific && id.Tag == 0 && !id.IsCompound:
		is = func(c *x509.Certificate) bool { return len(id.Bytes) > 0 && bytes.Equal(c.SubjectKeyId, id.Bytes) }
	case id.Class == asn1.ClassUniversal && id.Tag == asn1.TagSequence:
		var name issuerAndSerial
		if err := decode("signer's name", id.FullBytes, &name); err != nil {
			return nil, err
		}
		is = func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawIssuer, name.Issuer.FullBytes) && c.SerialNumber.Cmp(name.Serial) == 0
		}
	default:
		return nil, fmt.Errorf("%w: the signer has no name", ErrMalformed)
	}
	for _, list := range lists {
		if i := slices.IndexFunc(list, is); i >= 0 {
			return list[i], nil
		}
	}
	return nil, fmt.Errorf("%w: its certificate is not in the token, though it was asked for", ErrSigner)
}

// check makes sure that the certificate may sign time-stamps, is the one that the signed
// attributes mean, and did sign.
func (s signer) check(cert *x509.Certificate) error {
	if err := checkPurpose(cert); err != nil {
		return err
	}
	hash, err := hashOf(s.info.Digest)
	if err != nil {
		return err
	}
	attributes, err := s.attributes()
	if err != nil {
		return err
	}
	if err := s.checkContent(attributes, hash); err != nil {
		return err
	}
	if err := checkNamed(attributes, cert); err != nil {
		return err
	}
	algorithm, err := signatureAlgorithm(s.info.Algorithm, hash)
	if err != nil {
		return err
	}
	// RFC 5652 section 5.4: signed is the SET, not its implicit tag.
	signed := bytes.Clone(s.info.Signed.FullBytes)
	signed[0] = asn1.TagSet | 0x20
	if err := cert.CheckSignature(algorithm, signed, s.info.Signature); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// checkPurpose wants id-kp-timeStamping, critical and alone (RFC 3161 section 2.3).
func checkPurpose(cert *x509.Certificate) error {
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidExtKeyUsage) })
	if i < 0 || !cert.Extensions[i].Critical {
		return fmt.Errorf("%w: %s: extendedKeyUsage is not there or not critical", ErrSigner, cert.Subject)
	}
	var purposes []asn1.ObjectIdentifier
	if err := decode("extendedKeyUsage", cert.Extensions[i].Value, &purposes); err != nil {
		return err
	}
	if len(purposes) != 1 || !purposes[0].Equal(oidTimeStamping) {
		return fmt.Errorf("%w: %s: its key is not for time-stamps alone", ErrSigner, cert.Subject)
	}
	const allowed = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if cert.KeyUsage != 0 && cert.KeyUsage&allowed == 0 {
		return fmt.Errorf("%w: %s: keyUsage has neither digitalSignature nor nonRepudiation", ErrSigner, cert.Subject)
	}
	return nil
}

// attributes are the signed ones; none is there twice and each has one value.
func (s signer) attributes() (map[string]asn1.RawValue, error) {
	if !s.info.Signed.IsCompound {
		return nil, fmt.Errorf("%w: nothing is signed but the content", ErrMalformed)
	}
	out := make(map[string]asn1.RawValue)
	for rest := s.info.Signed.Bytes; len(rest) > 0; {
		var a attribute
		var err error
		if rest, err = asn1.Unmarshal(rest, &a); err != nil {
			return nil, fmt.Errorf("%w: signed attributes: %w", ErrMalformed, err)
		}
		id := a.Type.String()
		if _, twice := out[id]; twice || len(a.Values) != 1 {
			return nil, fmt.Errorf("%w: signed attribute %s does not have one value", ErrMalformed, id)
		}
		out[id] = a.Values[0]
	}
	return out, nil
}

// checkContent compares contentType and messageDigest, RFC 5652 section 11.
func (s signer) checkContent(attributes map[string]asn1.RawValue, hash crypto.Hash) error {
	var kind asn1.ObjectIdentifier
	if err := decode("attribute contentType", attributes[oidContentType.String()].FullBytes, &kind); err != nil {
		return err
	}
	if !kind.Equal(oidTSTInfo) {
		return fmt.Errorf("%w: attribute contentType is not TSTInfo", ErrMalformed)
	}
	var sum []byte
	if err := decode("attribute messageDigest", attributes[oidMessageDigest.String()].FullBytes, &sum); err != nil {
		return err
	}
	if !bytes.Equal(sum, digest(hash, s.content)) {
		return fmt.Errorf("%w: its content has another digest than the one signed", ErrSignature)
	}
	return nil
}

// checkNamed wants the signer's certificate in SigningCertificate or SigningCertificateV2
// (RFC 3161 section 2.4.2, RFC 5816); if both are there, in both.
func checkNamed(attributes map[string]asn1.RawValue, cert *x509.Certificate) error {
	v1, has1 := attributes[oidSigningCertificate.String()]
	v2, has2 := attributes[oidSigningCertificateV2.String()]
	if !has1 && !has2 {
		return fmt.Errorf("%w: the signed attributes do not name its certificate", ErrSigner)
	}
	if has1 {
		var id essCertID
		if err := firstID(v1, &id); err != nil {
			return err
		}
		sum := sha1.Sum(cert.Raw) //nolint:gosec // G401: see the import
		if !bytes.Equal(id.Hash, sum[:]) || !id.Issuer.fits(cert) {
			return fmt.Errorf("%w: ESSCertID names another certificate", ErrSigner)
		}
	}
	if has2 {
		var id essCertIDv2
		if err := firstID(v2, &id); err != nil {
			return err
		}
		hash := crypto.SHA256 // the default of RFC 5035
		if len(id.Algorithm.Algorithm) > 0 {
			var err error
			if hash, err = hashOf(id.Algorithm); err != nil {
				return err
			}
		}
		if !bytes.Equal(id.Hash, digest(hash, cert.Raw)) || !id.Issuer.fits(cert) {
			return fmt.Errorf("%w: ESSCertIDv2 names another certificate", ErrSigner)
		}
	}
	return nil
}

// firstID decodes the first of the identifiers, which is the signer's.
func firstID(value asn1.RawValue, into any) error {
	var ids essCertIDs
	if err := decode("signing certificate", value.FullBytes, &ids); err != nil {
		return err
	}
	if len(ids.Certificates) == 0 {
		return fmt.Errorf("%w: signing certificate: the list is empty", ErrMalformed)
	}
	return decode("signing certificate", ids.Certificates[0].FullBytes, into)
}

// fits compares the optional issuer and serial number.
func (i essIssuer) fits(cert *x509.Certificate) bool {
	if i.Serial == nil {
		return true
	}
	return i.Serial.Cmp(cert.SerialNumber) == 0 && len(i.Names) == 1 && bytes.Equal(i.Names[0].Bytes, cert.RawIssuer)
}
