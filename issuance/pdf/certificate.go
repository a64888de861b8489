package pdf

import (
	"bytes"
	"compress/zlib"
	"crypto/md5" //nolint:gosec // ISO 32000-1, 7.11.4 names it for /CheckSum, which protects nothing
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"rsc.io/qr"

	"github.com/sealsmith/sealsmith/issuance/elm"
)

// ErrContent is returned by Certificate for a credential that makes no certificate.
var ErrContent = errors.New("this credential cannot be shown as a PDF")

// AttachmentName is under which name the sealed record lies in the PDF.
const AttachmentName = "credential.jsonld"

// maxQRModules is the size of version 11, the densest code that can be scanned from paper here.
const maxQRModules = 61

// Printer draws certificates. It is safe for concurrent use.
type Printer struct{ fonts *fonts }

// NewPrinter parses the fonts.
func NewPrinter() (*Printer, error) {
	f, err := newFonts()
	if err != nil {
		return nil, fmt.Errorf("prepare the certificate: %w", err)
	}
	return &Printer{fonts: f}, nil
}

// Certificate returns a PDF that shows c, with the sealed record that c was read from
// attached to it (ISO 32000-2, 14.13: /AFRelationship /Source). Nothing in it comes from
// elsewhere. The same content and record give the same bytes. It has no seal yet: see Seal.
// It fails with ErrContent.
func (p *Printer) Certificate(c elm.Content, record []byte) ([]byte, error) {
	if len(record) == 0 || c.IssuedAt.IsZero() {
		return nil, fmt.Errorf("%w: it is not issued yet", ErrContent)
	}
	var code *qr.Code
	if c.VerifyURL != "" {
		var err error
		if code, err = qr.Encode(c.VerifyURL, qr.M); err != nil || code.Size > maxQRModules {
			return nil, fmt.Errorf("%w: the address of verification is too long for a QR code", ErrContent)
		}
	}
	pages, err := p.pages(c, code)
	if err != nil {
		return nil, err
	}
	d, err := open(pages)
	if err != nil {
		return nil, err
	}
	return attach(d, c, record)
}

// pages lets fpdf write the pages alone. Catalog, information and attachment are written by
// attach: fpdf 0.12 gives attachments no name for old readers and no relationship.
func (p *Printer) pages(c elm.Content, code *qr.Code) ([]byte, error) {
	out := fpdf.New("P", "mm", "A4", "")
	out.SetCatalogSort(true)
	out.SetCreationDate(c.IssuedAt.UTC())
	out.SetModificationDate(c.IssuedAt.UTC())
	out.SetAutoPageBreak(false, 0)
	out.SetMargins(0, 0, 0)
	l := layout{t: newTypesetter(p.fonts, out), out: out, w: wordsIn(c.Language), c: c}
	if err := l.certificate(code); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := out.Output(&buf); err != nil {
		return nil, fmt.Errorf("write the pages: %w", err)
	}
	return buf.Bytes(), nil
}

// attach adds the sealed record, metadata and a catalog that names them.
func attach(d document, c elm.Content, record []byte) ([]byte, error) {
	packed, err := deflate(record)
	if err != nil {
		return nil, err
	}
	u := newUpdate(d)
	file, spec, meta := u.reserve(), u.reserve(), u.reserve()
	at := date(c.IssuedAt)
	sum := md5.Sum(record) //nolint:gosec // see above
	u.putStream(file, fmt.Sprintf("/Type /EmbeddedFile /Subtype /application#2Fld+json /Filter /FlateDecode /Params << /Size %d /ModDate %s /CheckSum <%x> >>",
		len(record), at, sum), packed)
	u.put(spec, fmt.Sprintf("<< /Type /Filespec /F (%s) /UF %s /AFRelationship /Source /Desc %s /EF << /F %d 0 R /UF %d 0 R >> >>",
		AttachmentName, text(AttachmentName), text("Sealed European Digital Credential"), file, file))
	u.putStream(meta, "/Type /Metadata /Subtype /XML", []byte(xmp(c)))
	u.info = u.reserve()
	u.put(u.info, fmt.Sprintf("<< /Title %s /Author %s /Producer (%s) /CreationDate %s /ModDate %s >>",
		text(heading(c)), text(clean(c.IssuerName)), producer, at, at))
	u.put(d.root, fmt.Sprintf("<< /Type /Catalog /Version /1.7 /Pages 1 0 R /Lang (%s) /Metadata %d 0 R /ViewerPreferences << /DisplayDocTitle true >> "+
		"/PageMode /UseAttachments /Names << /EmbeddedFiles << /Names [(%s) %d 0 R] >> >> /AF [%d 0 R] >>",
		language(c), meta, AttachmentName, spec, spec))
	return u.close(), nil
}

const producer = "Sealsmith"

// deflate compresses without a clock or a name in it, so that the same record gives the same bytes.
func deflate(data []byte) ([]byte, error) {
	var buf bytes.Buffer
	w := zlib.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compress the record: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress the record: %w", err)
	}
	return buf.Bytes(), nil
}

// date is a PDF date in UTC (ISO 32000-1, 7.9.4).
func date(t time.Time) string { return "(D:" + t.UTC().Format("20060102150405") + "+00'00')" }

// heading is the title of the document.
func heading(c elm.Content) string {
	return strings.Trim(clean(c.Title)+" · "+clean(c.Learner), " ·")
}

// language is a language tag that can stand in a PDF string as it is.
func language(c elm.Content) string {
	tag := strings.Map(func(r rune) rune {
		if r == '-' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') {
			return r
		}
		return -1
	}, c.Language)
	if tag == "" {
		return "en"
	}
	return tag
}

// xmp is the metadata of the document (ISO 16684-1). It says the same as the information dictionary.
func xmp(c elm.Content) string {
	at := c.IssuedAt.UTC().Format("2006-01-02T15:04:05Z")
	return `<?xpacket begin="` + "\ufeff" + `" id="W5M0MpCehiHzreSzNTczkc9d"?>` +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" ` +
		`xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/">` +
		`<dc:title><rdf:Alt><rdf:li xml:lang="x-default">` + xmlText(heading(c)) + `</rdf:li></rdf:Alt></dc:title>` +
		`<dc:creator><rdf:Seq><rdf:li>` + xmlText(clean(c.IssuerName)) + `</rdf:li></rdf:Seq></dc:creator>` +
		`<dc:language><rdf:Bag><rdf:li>` + language(c) + `</rdf:li></rdf:Bag></dc:language>` +
		`<dc:identifier>` + xmlText(clean(c.ID)) + `</dc:identifier>` +
		`<pdf:Producer>` + producer + `</pdf:Producer><xmp:CreateDate>` + at + `</xmp:CreateDate><xmp:ModifyDate>` + at + `</xmp:ModifyDate>` +
		`</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`
}

// xmlText escapes a text for XML, where some characters cannot stand at all.
func xmlText(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return ""
	}
	return b.String()
}
