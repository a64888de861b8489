package trustlisttest

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"
)

// List is a trusted list, or with Pointers the list of the lists.
type List struct {
	Territory  string
	Sequence   int
	Issued     time.Time
	NextUpdate time.Time // zero: closed
	Pointers   []Pointer
	Services   []Service
}

// Pointer names a list and who may sign it. Pointers to EU are those of the list of the lists
// to itself.
type Pointer struct {
	Territory string
	Signers   []Party
}

// Service is a trust service; States the newest first.
type Service struct {
	Type, Provider, Name string
	Certificates         []*x509.Certificate
	Raw                  []byte // a certificate by its bytes, also one that cannot be read
	SKI                  []byte
	States               []State
}

// State is what a service is from a time on.
type State struct {
	Since      time.Time
	Status     string   // last part of the URI
	Additional []string // ForeSeals …
	Extensions string   // further elements, see Qualification
	Type       string   // another type than the service has now
}

// XML is the list without a signature, in canonical form.
func (l List) XML() string {
	kind := "EUgeneric"
	if l.Territory == "EU" {
		kind = "EUlistofthelists"
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<TrustServiceStatusList xmlns="%s" Id="list" TSLTag="http://uri.etsi.org/19612/TSLTag"><SchemeInformation><TSLVersionIdentifier>5</TSLVersionIdentifier>`, nsTSL)
	fmt.Fprintf(&b, `<TSLSequenceNumber>%d</TSLSequenceNumber><TSLType>%sTrustedList/TSLType/%s</TSLType>`, l.Sequence, prefix, kind)
	fmt.Fprintf(&b, `<SchemeOperatorName><Name xml:lang="de">Aufsicht</Name><Name xml:lang="en">Supervisor of %s</Name></SchemeOperatorName>`, l.Territory)
	fmt.Fprintf(&b, `<SchemeTerritory>%s</SchemeTerritory>`, l.Territory)
	if len(l.Pointers) > 0 {
		b.WriteString("<PointersToOtherTSL>")
		for _, p := range l.Pointers {
			b.WriteString(p.xml())
		}
		b.WriteString("</PointersToOtherTSL>")
	}
	fmt.Fprintf(&b, `<ListIssueDateTime>%s</ListIssueDateTime><NextUpdate>`, moment(l.Issued))
	if !l.NextUpdate.IsZero() {
		fmt.Fprintf(&b, `<dateTime>%s</dateTime>`, moment(l.NextUpdate))
	}
	b.WriteString(`</NextUpdate></SchemeInformation>`)
	if len(l.Services) > 0 {
		b.WriteString(`<TrustServiceProviderList>`)
		for _, s := range l.Services {
			b.WriteString(s.xml())
		}
		b.WriteString(`</TrustServiceProviderList>`)
	}
	b.WriteString(`</TrustServiceStatusList>`)
	return b.String()
}

func moment(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }

func (p Pointer) xml() string {
	kind := "EUgeneric"
	if p.Territory == "EU" {
		kind = "EUlistofthelists"
	}
	var b strings.Builder
	b.WriteString(`<OtherTSLPointer><ServiceDigitalIdentities>`)
	for _, s := range p.Signers {
		fmt.Fprintf(&b, `<ServiceDigitalIdentity><DigitalId><X509Certificate>%s</X509Certificate></DigitalId></ServiceDigitalIdentity>`, encode(s.Certificate.Raw))
	}
	fmt.Fprintf(&b, `</ServiceDigitalIdentities><TSLLocation>https://lists.example/%s.xml</TSLLocation><AdditionalInformation>`, p.Territory)
	fmt.Fprintf(&b, `<OtherInformation><TSLType>%sTrustedList/TSLType/%s</TSLType></OtherInformation>`, prefix, kind)
	fmt.Fprintf(&b, `<OtherInformation><SchemeTerritory>%s</SchemeTerritory></OtherInformation>`, p.Territory)
	fmt.Fprintf(&b, `<OtherInformation><t:MimeType xmlns:t="%s">application/vnd.etsi.tsl+xml</t:MimeType></OtherInformation></AdditionalInformation></OtherTSLPointer>`, nsAdd)
	return b.String()
}

func (s Service) xml() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<TrustServiceProvider><TSPInformation><TSPName><Name xml:lang="en">%s</Name></TSPName></TSPInformation><TSPServices><TSPService>`, s.Provider)
	b.WriteString(`<ServiceInformation>` + s.state(s.States[0], s.identity()) + `</ServiceInformation>`)
	if len(s.States) > 1 {
		b.WriteString(`<ServiceHistory>`)
		for _, state := range s.States[1:] {
			b.WriteString(`<ServiceHistoryInstance>` + s.state(state, `<DigitalId><X509SubjectName>CN=before</X509SubjectName></DigitalId>`) + `</ServiceHistoryInstance>`)
		}
		b.WriteString(`</ServiceHistory>`)
	}
	b.WriteString(`</TSPService></TSPServices></TrustServiceProvider>`)
	return b.String()
}

func (s Service) identity() string {
	var b strings.Builder
	for _, c := range s.Certificates {
		fmt.Fprintf(&b, "<DigitalId><X509Certificate>%s</X509Certificate></DigitalId>", encode(c.Raw))
	}
	if s.Raw != nil {
		fmt.Fprintf(&b, "<DigitalId><X509Certificate>%s</X509Certificate></DigitalId>", encode(s.Raw))
	}
	if s.SKI != nil {
		fmt.Fprintf(&b, "<DigitalId><X509SKI>%s</X509SKI></DigitalId>", encode(s.SKI))
	}
	return b.String()
}

func (s Service) state(state State, identity string) string {
	kind := s.Type
	if state.Type != "" {
		kind = state.Type
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<ServiceTypeIdentifier>%s</ServiceTypeIdentifier><ServiceName><Name xml:lang="en">%s</Name></ServiceName>`, kind, s.Name)
	fmt.Fprintf(&b, `<ServiceDigitalIdentity>%s</ServiceDigitalIdentity><ServiceStatus>%sTrustedList/Svcstatus/%s</ServiceStatus>`, identity, prefix, state.Status)
	fmt.Fprintf(&b, `<StatusStartingTime>%s</StatusStartingTime>`, moment(state.Since))
	if len(state.Additional) > 0 || state.Extensions != "" {
		b.WriteString(`<ServiceInformationExtensions>`)
		for _, a := range state.Additional {
			fmt.Fprintf(&b, `<Extension Critical="true"><AdditionalServiceInformation><URI xml:lang="en">%sTrustedList/SvcInfoExt/%s</URI></AdditionalServiceInformation></Extension>`, prefix, a)
		}
		b.WriteString(state.Extensions + `</ServiceInformationExtensions>`)
	}
	return b.String()
}

// Qualification is the extension that gives qualifiers to the certificates that meet the
// criteria: elements as TS 119 612 has them, with the prefix e.
func Qualification(criteria string, names ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<Extension Critical="true"><e:Qualifications xmlns:e="%s"><e:QualificationElement><e:Qualifiers>`, nsECC)
	for _, n := range names {
		fmt.Fprintf(&b, `<e:Qualifier uri="%sTrustedList/SvcInfoExt/%s"></e:Qualifier>`, prefix, n)
	}
	fmt.Fprintf(&b, `</e:Qualifiers>%s</e:QualificationElement></e:Qualifications></Extension>`, criteria)
	return b.String()
}

// Sign returns the file of the list, signed by somebody.
func (l List) Sign(tb testing.TB, by Party) []byte {
	tb.Helper()
	return SignXML(tb, l.XML(), "#list", by)
}

// Reference is what a signature says of one thing that it signs.
type Reference struct {
	URI        string
	Transforms []string
	Canonical  string // the bytes that the digest is of
}

const (
	xades      = ` xmlns:x="http://uri.etsi.org/01903/v1.3.2#"`
	declared   = ` xmlns:ds="` + nsDSig + `"`
	properties = `<x:SignedProperties` + xades + ` Id="properties"><x:SignedSignatureProperties><x:SigningTime>2026-01-01T00:00:00Z</x:SigningTime></x:SignedSignatureProperties></x:SignedProperties>`
)

// Properties is the reference to the properties that every signature here has.
func Properties() Reference { return Reference{"#properties", []string{exclusive}, properties} }

// Whole is the reference to a root, as lists have it.
func Whole(uri, root string) Reference {
	return Reference{uri, []string{nsDSig + "enveloped-signature", exclusive}, root}
}

// SignXML signs a root that is in canonical form: uri is what the signature refers to. The
// signature goes to the end of the root.
func SignXML(tb testing.TB, root, uri string, by Party) []byte {
	tb.Helper()
	return SignReferences(tb, root, by, Whole(uri, root), Properties())
}

// SignReferences puts a signature of these references to the end of a root.
func SignReferences(tb testing.TB, root string, by Party, references ...Reference) []byte {
	tb.Helper()
	method, _ := by.sign(tb, nil)
	var info strings.Builder
	fmt.Fprintf(&info, `<ds:CanonicalizationMethod Algorithm="%s"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod>`, exclusive, method)
	for _, r := range references {
		fmt.Fprintf(&info, `<ds:Reference URI="%s"><ds:Transforms>`, r.URI)
		for _, t := range r.Transforms {
			fmt.Fprintf(&info, `<ds:Transform Algorithm="%s"></ds:Transform>`, t)
		}
		sum := sha256.Sum256([]byte(r.Canonical))
		fmt.Fprintf(&info, `</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`, encode(sum[:]))
	}
	_, value := by.sign(tb, []byte(`<ds:SignedInfo`+declared+`>`+info.String()+`</ds:SignedInfo>`))
	signature := `<ds:Signature` + declared + ` Id="signature"><ds:SignedInfo>` + info.String() + `</ds:SignedInfo><ds:SignatureValue>` + encode(value) + `</ds:SignatureValue>` +
		`<ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + encode(by.Certificate.Raw) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` +
		`<ds:Object><x:QualifyingProperties` + xades + ` Target="#signature">` + strings.Replace(properties, xades, "", 1) + `</x:QualifyingProperties></ds:Object></ds:Signature>`
	end := strings.LastIndex(root, "</")
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + root[:end] + signature + root[end:])
}
