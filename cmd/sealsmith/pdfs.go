package main

import (
	"context"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/pdf"
)

// newPDFs wires the certificates: they are sealed by the tokens that seal the credentials of
// the same organisation, in the process that serves them, and time-stamped by the
// authorities that stamp the credentials.
func (a *app) newPDFs() (*issuance.PDFs, error) {
	printer, err := pdf.NewPrinter()
	if err != nil {
		return nil, err
	}
	d := issuance.PDFDeps{
		DB: a.db, Templates: a.templates, Printer: printer, Objects: a.objects, Now: time.Now, Logger: a.logger,
		Sealer: func(slug string) issuance.Sealer { return a.seals.of(slug) },
	}
	if a.proofs != nil {
		d.Stamp = func(ctx context.Context, data ...[]byte) ([]byte, error) {
			token, err := a.proofs.stamps.Stamp(ctx, data...)
			return token.Raw, err
		}
	}
	return issuance.NewPDFs(d), nil
}
