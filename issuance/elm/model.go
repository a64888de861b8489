package elm

// The types below are the part of the European Learning Model that a micro-credential
// needs, one type per class, members named as in the JSON-LD context of the application
// profile EDC. Multi-valued members are always arrays and texts are language maps of
// arrays, the form that newer issuers write; readers accept both.

// text is a language map: ISO 639-1 code to texts.
type text map[string][]string

type credential struct {
	ID                 string           `json:"id"`
	Type               []string         `json:"type"`
	CredentialProfiles []concept        `json:"credentialProfiles"`
	DisplayParameter   displayParameter `json:"displayParameter"`
	Identifier         []identifier     `json:"identifier,omitempty"`
	CredentialSchema   []schema         `json:"credentialSchema"`
	CredentialSubject  person           `json:"credentialSubject"`
	Evidence           []evidence       `json:"evidence,omitempty"`
	IssuanceDate       string           `json:"issuanceDate"`
	Issued             string           `json:"issued"`
	Issuer             organisation     `json:"issuer"`
	ValidFrom          string           `json:"validFrom"`
	ValidUntil         string           `json:"validUntil,omitempty"`     // of our shapes' own namespace
	ExpirationDate     string           `json:"expirationDate,omitempty"` // the same, for readers of VC 1.1
	Context            []string         `json:"@context"`
}

type schema struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type reference struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type concept struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	InScheme  reference `json:"inScheme"`
	PrefLabel text      `json:"prefLabel"`
}

type identifier struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	Notation   string `json:"notation"`
	SchemeName string `json:"schemeName,omitempty"`
}

type legalIdentifier struct {
	ID       string  `json:"id"`
	Type     string  `json:"type"`
	Notation string  `json:"notation"`
	Spatial  concept `json:"spatial"`
}

type note struct {
	ID          string   `json:"id"`
	Type        string   `json:"type"`
	NoteLiteral text     `json:"noteLiteral"`
	Subject     *concept `json:"subject,omitempty"`
}

type webResource struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	Title      text   `json:"title,omitempty"`
	ContentURL string `json:"contentURL"`
}

type location struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Address []address `json:"address"`
}

type address struct {
	ID          string  `json:"id"`
	Type        string  `json:"type"`
	CountryCode concept `json:"countryCode"`
	FullAddress *note   `json:"fullAddress,omitempty"`
}

type contactPoint struct {
	ID           string      `json:"id"`
	Type         string      `json:"type"`
	EmailAddress []reference `json:"emailAddress"`
}

type organisation struct {
	ID              string           `json:"id"`
	Type            string           `json:"type"`
	LegalName       text             `json:"legalName"`
	AltLabel        text             `json:"altLabel,omitempty"`
	Location        []location       `json:"location"`
	Registration    *legalIdentifier `json:"registration,omitempty"`
	EIDASIdentifier *legalIdentifier `json:"eIDASIdentifier,omitempty"`
	Homepage        []webResource    `json:"homepage,omitempty"`
	ContactPoint    []contactPoint   `json:"contactPoint,omitempty"`
}

type person struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	GivenName    text           `json:"givenName,omitempty"`
	FamilyName   text           `json:"familyName,omitempty"`
	FullName     text           `json:"fullName"`
	Identifier   []identifier   `json:"identifier,omitempty"`
	ContactPoint []contactPoint `json:"contactPoint,omitempty"`
	HasClaim     []achievement  `json:"hasClaim"`
}

type displayParameter struct {
	ID                string              `json:"id"`
	Type              string              `json:"type"`
	Title             text                `json:"title"`
	Description       text                `json:"description,omitempty"`
	PrimaryLanguage   concept             `json:"primaryLanguage"`
	Language          []concept           `json:"language"`
	IndividualDisplay []individualDisplay `json:"individualDisplay"`
}

type individualDisplay struct {
	ID            string          `json:"id"`
	Type          string          `json:"type"`
	Language      concept         `json:"language"`
	DisplayDetail []displayDetail `json:"displayDetail"`
}

type displayDetail struct {
	ID    string      `json:"id"`
	Type  string      `json:"type"`
	Image mediaObject `json:"image"`
	Page  int         `json:"page"`
}

type mediaObject struct {
	ID              string  `json:"id"`
	Type            string  `json:"type"`
	Content         []byte  `json:"content"` // encoding/json writes standard base64
	ContentEncoding concept `json:"contentEncoding"`
	ContentType     concept `json:"contentType"`
}

type evidence struct {
	ID                string       `json:"id"`
	Type              string       `json:"type"`
	DcType            concept      `json:"dcType"`
	EvidenceTarget    organisation `json:"evidenceTarget"`
	EvidenceStatement string       `json:"evidenceStatement"`
}

type awardingProcess struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	AwardingBody []organisation `json:"awardingBody"`
	AwardingDate string         `json:"awardingDate"`
}

type achievement struct {
	ID                    string          `json:"id"`
	Type                  string          `json:"type"`
	Title                 text            `json:"title"`
	Description           text            `json:"description,omitempty"`
	AwardedBy             awardingProcess `json:"awardedBy"`
	ProvenBy              []assessment    `json:"provenBy"`
	InfluencedBy          []activity      `json:"influencedBy"`
	CreditReceived        []creditPoint   `json:"creditReceived"`
	SpecifiedBy           qualification   `json:"specifiedBy"`
	AdditionalNote        []note          `json:"additionalNote"`
	SupplementaryDocument []webResource   `json:"supplementaryDocument"`
}

type assessment struct {
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	Title          text            `json:"title"`
	AwardedBy      awardingProcess `json:"awardedBy"`
	Grade          note            `json:"grade"`
	IDVerification *concept        `json:"idVerification,omitempty"`
	SpecifiedBy    assessmentSpec  `json:"specifiedBy"`
}

type assessmentSpec struct {
	ID            string         `json:"id"`
	Type          string         `json:"type"`
	Title         text           `json:"title"`
	DcType        concept        `json:"dcType"`
	Mode          []concept      `json:"mode"`
	Language      []concept      `json:"language"`
	GradingScheme *gradingScheme `json:"gradingScheme,omitempty"`
}

type gradingScheme struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Title text   `json:"title"`
}

type activity struct {
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Title       text            `json:"title"`
	AwardedBy   awardingProcess `json:"awardedBy"`
	Workload    string          `json:"workload"`
	SpecifiedBy activitySpec    `json:"specifiedBy"`
}

type activitySpec struct {
	ID               string    `json:"id"`
	Type             string    `json:"type"`
	Title            text      `json:"title"`
	Mode             []concept `json:"mode"`
	Language         []concept `json:"language"`
	VolumeOfLearning string    `json:"volumeOfLearning"`
}

type creditPoint struct {
	ID        string  `json:"id"`
	Type      string  `json:"type"`
	Framework concept `json:"framework"`
	Point     string  `json:"point"` // a string in the model, "3"
}

type qualification struct {
	ID                     string            `json:"id"`
	Type                   string            `json:"type"`
	Title                  text              `json:"title"`
	Description            text              `json:"description,omitempty"`
	DcType                 []concept         `json:"dcType,omitempty"`
	Language               []concept         `json:"language,omitempty"`
	Mode                   []concept         `json:"mode,omitempty"`
	ThematicArea           []concept         `json:"thematicArea,omitempty"`
	EqfLevel               *concept          `json:"eqfLevel,omitempty"`
	EducationLevel         []concept         `json:"educationLevel,omitempty"`
	CreditPoint            []creditPoint     `json:"creditPoint,omitempty"`
	VolumeOfLearning       string            `json:"volumeOfLearning,omitempty"`
	IsPartialQualification bool              `json:"isPartialQualification,omitempty"`
	EntryRequirement       *note             `json:"entryRequirement,omitempty"`
	LearningOutcome        []learningOutcome `json:"learningOutcome,omitempty"`
	Accreditation          []accreditation   `json:"accreditation,omitempty"`
	IsPartOf               []qualification   `json:"isPartOf,omitempty"`
	AdditionalNote         []note            `json:"additionalNote,omitempty"`
	Homepage               []webResource     `json:"homepage,omitempty"`
}

type learningOutcome struct {
	ID               string    `json:"id"`
	Type             string    `json:"type"`
	Title            text      `json:"title"`
	DcType           *concept  `json:"dcType,omitempty"`
	ReusabilityLevel *concept  `json:"reusabilityLevel,omitempty"`
	RelatedESCOSkill []concept `json:"relatedESCOSkill,omitempty"`
}

type accreditation struct {
	ID               string         `json:"id"`
	Type             string         `json:"type"`
	Title            text           `json:"title"`
	DcType           concept        `json:"dcType"`
	AccreditingAgent organisation   `json:"accreditingAgent"`
	Organisation     []organisation `json:"organisation,omitempty"`
}
