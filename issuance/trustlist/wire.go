package trustlist

import "encoding/xml"

// Namespaces of TS 119 612 and of XML signatures.
const (
	nsTSL  = "http://uri.etsi.org/02231/v2#"
	nsDSig = "http://www.w3.org/2000/09/xmldsig#"
)

// The wire types hold what is used of TS 119 612 annex C. Names that occur in several
// namespaces are bound to theirs.
type wireList struct {
	XMLName   xml.Name       `xml:"http://uri.etsi.org/02231/v2# TrustServiceStatusList"`
	Scheme    wireScheme     `xml:"http://uri.etsi.org/02231/v2# SchemeInformation"`
	Providers []wireProvider `xml:"http://uri.etsi.org/02231/v2# TrustServiceProviderList>TrustServiceProvider"`
}

type wireScheme struct {
	Version    int           `xml:"http://uri.etsi.org/02231/v2# TSLVersionIdentifier"`
	Sequence   int           `xml:"http://uri.etsi.org/02231/v2# TSLSequenceNumber"`
	Type       string        `xml:"http://uri.etsi.org/02231/v2# TSLType"`
	Operator   []wireText    `xml:"http://uri.etsi.org/02231/v2# SchemeOperatorName>Name"`
	Territory  string        `xml:"http://uri.etsi.org/02231/v2# SchemeTerritory"`
	Issued     string        `xml:"http://uri.etsi.org/02231/v2# ListIssueDateTime"`
	NextUpdate string        `xml:"http://uri.etsi.org/02231/v2# NextUpdate>dateTime"`
	Pointers   []wirePointer `xml:"http://uri.etsi.org/02231/v2# PointersToOtherTSL>OtherTSLPointer"`
}

type wireText struct {
	Lang string `xml:"http://www.w3.org/XML/1998/namespace lang,attr"`
	Text string `xml:",chardata"`
}

type wirePointer struct {
	Identities []wireIdentity `xml:"http://uri.etsi.org/02231/v2# ServiceDigitalIdentities>ServiceDigitalIdentity"`
	Location   string         `xml:"http://uri.etsi.org/02231/v2# TSLLocation"`
	Other      []wireOther    `xml:"http://uri.etsi.org/02231/v2# AdditionalInformation>OtherInformation"`
}

type wireOther struct {
	Type      string `xml:"http://uri.etsi.org/02231/v2# TSLType"`
	Territory string `xml:"http://uri.etsi.org/02231/v2# SchemeTerritory"`
	MimeType  string `xml:"http://uri.etsi.org/02231/v2/additionaltypes# MimeType"`
}

type wireIdentity struct {
	IDs []wireDigitalID `xml:"http://uri.etsi.org/02231/v2# DigitalId"`
}

type wireDigitalID struct {
	Certificate string `xml:"http://uri.etsi.org/02231/v2# X509Certificate"`
	SKI         string `xml:"http://uri.etsi.org/02231/v2# X509SKI"`
	Subject     string `xml:"http://uri.etsi.org/02231/v2# X509SubjectName"`
}

type wireProvider struct {
	Names    []wireText    `xml:"http://uri.etsi.org/02231/v2# TSPInformation>TSPName>Name"`
	Services []wireService `xml:"http://uri.etsi.org/02231/v2# TSPServices>TSPService"`
}

type wireService struct {
	Now     wireInstance   `xml:"http://uri.etsi.org/02231/v2# ServiceInformation"`
	History []wireInstance `xml:"http://uri.etsi.org/02231/v2# ServiceHistory>ServiceHistoryInstance"`
}

type wireInstance struct {
	Type       string          `xml:"http://uri.etsi.org/02231/v2# ServiceTypeIdentifier"`
	Names      []wireText      `xml:"http://uri.etsi.org/02231/v2# ServiceName>Name"`
	Identity   wireIdentity    `xml:"http://uri.etsi.org/02231/v2# ServiceDigitalIdentity"`
	Status     string          `xml:"http://uri.etsi.org/02231/v2# ServiceStatus"`
	Since      string          `xml:"http://uri.etsi.org/02231/v2# StatusStartingTime"`
	Extensions []wireExtension `xml:"http://uri.etsi.org/02231/v2# ServiceInformationExtensions>Extension"`
}

type wireExtension struct {
	Critical   bool                 `xml:"Critical,attr"`
	Additional []wireURI            `xml:"http://uri.etsi.org/02231/v2# AdditionalServiceInformation>URI"`
	Elements   []wireQualification  `xml:"http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/# Qualifications>QualificationElement"`
	TakenOver  *struct{}            `xml:"http://uri.etsi.org/02231/v2/additionaltypes# TakenOverBy"`
	Expired    *struct{}            `xml:"http://uri.etsi.org/02231/v2# ExpiredCertsRevocationInfo"`
	Unknown    []wireUnknownElement `xml:",any"`
}

type wireURI struct {
	URI string `xml:",chardata"`
}

type wireUnknownElement struct {
	XMLName xml.Name
}

type wireQualification struct {
	Qualifiers []struct {
		URI string `xml:"uri,attr"`
	} `xml:"Qualifiers>Qualifier"`
	Criteria *wireCriteria `xml:"CriteriaList"`
}

type wireCriteria struct {
	Assert   string `xml:"assert,attr"`
	KeyUsage []struct {
		Bits []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:",chardata"`
		} `xml:"KeyUsageBit"`
	} `xml:"KeyUsage"`
	PolicySet []struct {
		IDs []string `xml:"PolicyIdentifier>Identifier"`
	} `xml:"PolicySet"`
	Lists       []wireCriteria  `xml:"CriteriaList"`
	Description []struct{}      `xml:"Description"`
	Other       []wireOtherList `xml:"otherCriteriaList"`
	// Unknown makes the answer unknown: a condition was set that is not understood.
	Unknown []wireUnknownElement `xml:",any"`
}

type wireOtherList struct {
	SubjectDN []struct {
		OIDs []string `xml:"AttributeOID>Identifier"`
	} `xml:"CertSubjectDNAttribute"`
	ExtKeyUsage []struct {
		OIDs []string `xml:"KeyPurposeId>Identifier"`
	} `xml:"ExtendedKeyUsage"`
	Unknown []wireUnknownElement `xml:",any"`
}
