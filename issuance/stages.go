package issuance

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/revocation"
	"github.com/sealsmith/sealsmith/issuance/tsp"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// errProof is for a stage that came out otherwise than it should: nothing of it is stored.
var errProof = errors.New("the credential would not be proven by this")

// stage takes a row one level further, or renews it when it has reached its goal.
func (p *Preserver) stage(ctx context.Context, row proof) (proof, error) {
	var err error
	switch row.Level {
	case templates.SealB:
		row.Level = templates.SealT
		row.File, err = p.stamp(ctx, row.File, jades.SignatureImprint, jades.AddTimestamp)
	case templates.SealT:
		row.Level = templates.SealLT
		row.File, err = p.complete(ctx, row.File)
	default:
		if row.Level == templates.SealLTA {
			row.File, err = p.freshen(ctx, row.File)
		}
		row.Level = templates.SealLTA
		if err == nil {
			row.File, err = p.stamp(ctx, row.File, jades.ArchiveImprint, jades.AddArchive)
		}
	}
	if err != nil {
		return row, err
	}
	row.RenewAt, err = p.examine(row)
	return row, err
}

// stamp adds a time-stamp: add puts it in, over the bytes that imprint says.
func (p *Preserver) stamp(ctx context.Context, file []byte, imprint func([]byte) ([]byte, error), add func(file, der []byte) ([]byte, error)) ([]byte, error) {
	data, err := imprint(file)
	if err != nil {
		return nil, err
	}
	token, err := p.Stamps.Stamp(ctx, data)
	if err != nil {
		return nil, err
	}
	return add(file, token.Raw)
}

// complete adds certificates and revocation data of the seal and of its time-stamp.
func (p *Preserver) complete(ctx context.Context, file []byte) ([]byte, error) {
	tokens, err := jades.Tokens(file)
	if err != nil {
		return nil, err
	}
	parsed, err := jades.Parse(file)
	if err != nil {
		return nil, err
	}
	stamp := tokens[0] // level T has it
	seal, err := p.chain(parsed.Signatures[0], stamp.Time)
	if err != nil {
		return nil, err
	}
	// What is asked after the time-stamp proves more: the certificate was good when the seal
	// existed for certain.
	evidence, err := p.standing(ctx, seal, stamp.Time)
	if err != nil {
		return nil, fmt.Errorf("revocation data of the seal: %w", err)
	}
	values := jades.Values{Certificates: slices.Concat(seal, evidence.Certificates), OCSP: evidence.OCSP, CRLs: evidence.CRLs}
	if err := p.vouch(ctx, stamp, &values); err != nil {
		return nil, err
	}
	return jades.AddValues(file, values)
}

// vouch adds certificates and revocation data of the authority of a time-stamp.
func (p *Preserver) vouch(ctx context.Context, stamp tsp.Token, values *jades.Values) error {
	chain, err := stamp.Chain(p.StampTrust, nil, stamp.Time)
	if err != nil {
		return err
	}
	evidence, err := p.standing(ctx, chain, stamp.Time)
	if err != nil {
		return fmt.Errorf("revocation data of the time-stamping authority: %w", err)
	}
	all := revocation.Evidence{OCSP: values.OCSP, CRLs: values.CRLs}.Merge(evidence)
	values.OCSP, values.CRLs = all.OCSP, all.CRLs
	values.Certificates = slices.Concat(values.Certificates, chain, evidence.Certificates)
	return nil
}

// standing collects what proves that no certificate of a chain was revoked at a time.
func (p *Preserver) standing(ctx context.Context, chain []*x509.Certificate, at time.Time) (revocation.Evidence, error) {
	evidence, err := p.Status.Collect(ctx, chain, at)
	if err != nil {
		return revocation.Evidence{}, err
	}
	for i, c := range chain[:len(chain)-1] {
		if err := evidence.Status(c, chain[i+1], at); err != nil {
			return revocation.Evidence{}, err
		}
	}
	return evidence, nil
}

// freshen adds what proves the last archive time-stamp, while its authority can be asked,
// for the next one to cover.
func (p *Preserver) freshen(ctx context.Context, file []byte) ([]byte, error) {
	tokens, err := jades.Tokens(file)
	if err != nil {
		return nil, err
	}
	var values jades.Values
	if err := p.vouch(ctx, tokens[len(tokens)-1], &values); err != nil {
		return nil, err
	}
	return jades.AddValues(file, values)
}

// chain leads from the seal certificate to a trusted one, or as far as the certificates lead
// that came with the seal when nobody is trusted.
func (p *Preserver) chain(s jades.Signature, at time.Time) ([]*x509.Certificate, error) {
	if p.Trust == nil && len(s.Chain) > 1 {
		return s.Chain, nil
	}
	if p.Trust == nil {
		return nil, fmt.Errorf("%w: the certificate of the authority behind the seal certificate is not known; name it with SEALSMITH_TRUST", errProof)
	}
	between := x509.NewCertPool()
	for _, c := range s.Chain[1:] {
		between.AddCert(c)
	}
	chains, err := s.Leaf().Verify(x509.VerifyOptions{
		Roots: p.Trust, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: the seal certificate leads to none of the trusted authorities; complete SEALSMITH_TRUST: %w", errProof, err)
	}
	return chains[0], nil
}

// examine reads a stage as a stranger would, before it is stored, and says when it has to be
// renewed.
func (p *Preserver) examine(row proof) (renewal sql.NullTime, err error) {
	file, err := jades.Parse(row.File)
	if err != nil {
		return renewal, err
	}
	result := file.Verify(jades.VerifyOptions{Trust: p.Trust, TimestampTrust: p.StampTrust, At: p.Now()})
	for _, f := range result.Findings {
		if f.Outcome == jades.Failed {
			return renewal, fmt.Errorf("%w: %s: %s", errProof, f.Part, f.Words)
		}
	}
	if reached := result.Proofs[0].Reached; "B-"+string(row.Level) != string(reached) {
		return renewal, fmt.Errorf("%w: it should be of level B-%s and is of level %s", errProof, row.Level, reached)
	}
	if row.Level != templates.SealLTA {
		return renewal, nil
	}
	stamps := result.Proofs[0].Timestamps
	last := stamps[len(stamps)-1].Certificate
	return sql.NullTime{Time: sqldb.UTC(renewAt(last.NotAfter, p.Now())), Valid: true}, nil
}

// renewMargin is how long before the end of an authority's certificate its time-stamps are
// renewed: long enough for a change of authority, by people who order one.
const renewMargin = 90 * 24 * time.Hour

// renewAt is the margin before the end, or the middle of what is left when that is short.
func renewAt(end, now time.Time) time.Time {
	if at := end.Add(-renewMargin); at.After(now) {
		return at
	}
	return now.Add(max(end.Sub(now)/2, time.Hour))
}
