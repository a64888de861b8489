package elm

import "github.com/sealsmith/sealsmith/templates/vocab"

// rule is one property shape: how often a member stands in an object of a class, and what
// its values are: a class, the URI of a concept scheme, or one of the kinds below. Most is 0
// where the shapes set no bound.
type rule struct {
	member      string
	least, most int
	what        string
}

// Kinds of literal.
const (
	kindText     = "text"     // language map
	kindOneText  = "one text" // language map with one text in all
	kindString   = "string"
	kindMoment   = "dateTime"
	kindDuration = "duration"
	kindURL      = "anyURI"
	kindPositive = "positiveInteger"
	kindBoolean  = "boolean"
	kindImage    = "image" // base64 of a PNG
	anyConcept   = "Concept"
)

// classRules are the shapes "EDC generic, no CV" 1.1.0, tightened by the controlled lists of
// "EDC generic, full", for the classes and members that we write. Where a shape allows a
// member that is not here, Check refuses it: we never write it, and a misspelt member would
// be dropped in silence by every JSON-LD reader.
var classRules = map[string][]rule{
	"EuropeanDigitalCredential": {
		{"credentialProfiles", 1, 0, vocab.CredentialProfiles.Scheme()},
		{"displayParameter", 1, 1, "DisplayParameter"},
		{"identifier", 0, 0, "Identifier"},
		{"credentialSchema", 1, 0, schemaType},
		{"credentialSubject", 1, 1, "Person"},
		{"evidence", 0, 0, "Evidence"},
		{"issuanceDate", 1, 1, kindMoment},
		{"issued", 1, 1, kindMoment},
		{"issuer", 1, 1, "Organisation"},
		{"validFrom", 1, 1, kindMoment},
		{"validUntil", 0, 1, kindMoment},
		{"expirationDate", 0, 1, kindMoment},
	},
	schemaType: {},
	"DisplayParameter": {
		{"title", 1, 0, kindText},
		{"description", 0, 0, kindText},
		{"primaryLanguage", 1, 1, vocab.Languages.Scheme()},
		{"language", 1, 0, vocab.Languages.Scheme()},
		{"individualDisplay", 1, 0, "IndividualDisplay"},
	},
	"IndividualDisplay": {
		{"language", 1, 1, vocab.Languages.Scheme()},
		{"displayDetail", 1, 0, "DisplayDetail"},
	},
	"DisplayDetail": {
		{"image", 1, 1, "MediaObject"},
		{"page", 1, 1, kindPositive},
	},
	"MediaObject": {
		{"content", 1, 1, kindImage},
		{"contentEncoding", 1, 1, vocab.Encodings.Scheme()},
		{"contentType", 1, 1, vocab.FileTypes.Scheme()},
	},
	"Organisation": {
		{"legalName", 1, 0, kindText},
		{"altLabel", 0, 0, kindText},
		{"location", 1, 0, "Location"},
		{"registration", 0, 1, "LegalIdentifier"},
		{"eIDASIdentifier", 0, 1, "LegalIdentifier"},
		{"homepage", 0, 0, "WebResource"},
		{"contactPoint", 0, 0, "ContactPoint"},
	},
	"Location": {{"address", 1, 0, "Address"}},
	"Address": {
		{"countryCode", 1, 1, vocab.Countries.Scheme()},
		{"fullAddress", 0, 1, "Note"},
	},
	"ContactPoint": {{"emailAddress", 0, 0, "Mailbox"}},
	"Mailbox":      {},
	"LegalIdentifier": {
		{"notation", 1, 1, kindString},
		{"spatial", 1, 1, vocab.Countries.Scheme()},
	},
	"Identifier": {
		{"notation", 1, 1, kindString},
		{"schemeName", 0, 1, kindString},
	},
	"Note": {
		{"noteLiteral", 1, 0, kindText},
		{"subject", 0, 1, anyConcept},
	},
	"WebResource": {
		{"title", 0, 0, kindText},
		{"contentURL", 1, 1, kindURL},
	},
	"Evidence": {
		{"dcType", 1, 1, vocab.EvidenceTypes.Scheme()},
		{"evidenceTarget", 0, 0, "Organisation"},
		{"evidenceStatement", 0, 1, kindString},
	},
	"Person": {
		{"givenName", 0, 1, kindOneText},
		{"familyName", 0, 1, kindOneText},
		{"fullName", 1, 1, kindOneText},
		{"identifier", 0, 0, "Identifier"},
		{"contactPoint", 0, 0, "ContactPoint"},
		{"hasClaim", 1, 0, "LearningAchievement"},
	},
	"LearningAchievement": {
		{"title", 1, 0, kindText},
		{"description", 0, 0, kindText},
		{"awardedBy", 1, 1, "AwardingProcess"},
		{"provenBy", 0, 0, "LearningAssessment"},
		{"influencedBy", 0, 0, "LearningActivity"},
		{"creditReceived", 0, 0, "CreditPoint"},
		{"specifiedBy", 0, 1, "Qualification"},
		{"additionalNote", 0, 0, "Note"},
		{"supplementaryDocument", 0, 0, "WebResource"},
	},
	"AwardingProcess": {
		{"awardingBody", 1, 0, "Organisation"},
		{"awardingDate", 0, 1, kindMoment},
	},
	"LearningAssessment": {
		{"title", 1, 0, kindText},
		{"awardedBy", 1, 1, "AwardingProcess"},
		{"grade", 1, 1, "Note"},
		{"idVerification", 0, 1, vocab.Supervisions.Scheme()},
		{"specifiedBy", 0, 1, "LearningAssessmentSpecification"},
	},
	"LearningAssessmentSpecification": {
		{"title", 1, 0, kindText},
		{"dcType", 0, 1, vocab.AssessmentTypes.Scheme()},
		{"mode", 0, 0, vocab.Modes.Scheme()},
		{"language", 0, 0, vocab.Languages.Scheme()},
		{"gradingScheme", 0, 1, "GradingScheme"},
	},
	"GradingScheme": {{"title", 1, 0, kindText}},
	"LearningActivity": {
		{"title", 1, 0, kindText},
		{"awardedBy", 1, 1, "AwardingProcess"},
		{"workload", 0, 1, kindDuration},
		{"specifiedBy", 0, 1, "LearningActivitySpecification"},
	},
	"LearningActivitySpecification": {
		{"title", 1, 0, kindText},
		{"mode", 0, 0, vocab.Modes.Scheme()},
		{"language", 0, 0, vocab.Languages.Scheme()},
		{"volumeOfLearning", 0, 1, kindDuration},
	},
	"CreditPoint": {
		{"framework", 1, 1, vocab.CreditFrameworks.Scheme()},
		{"point", 1, 1, kindString},
	},
	"Qualification": {
		{"title", 1, 0, kindText},
		{"description", 0, 0, kindText},
		{"dcType", 0, 0, vocab.LearningOpportunities.Scheme()},
		{"language", 0, 0, vocab.Languages.Scheme()},
		{"mode", 0, 0, vocab.Modes.Scheme()},
		{"thematicArea", 0, 0, vocab.Subjects.Scheme()},
		{"eqfLevel", 0, 1, vocab.EQF.Scheme()},
		{"educationLevel", 0, 0, anyConcept},
		{"creditPoint", 0, 0, "CreditPoint"},
		{"volumeOfLearning", 0, 1, kindDuration},
		{"isPartialQualification", 0, 1, kindBoolean},
		{"entryRequirement", 0, 1, "Note"},
		{"learningOutcome", 0, 0, "LearningOutcome"},
		{"accreditation", 0, 0, "Accreditation"},
		{"isPartOf", 0, 0, "Qualification"},
		{"additionalNote", 0, 0, "Note"},
		{"homepage", 0, 0, "WebResource"},
	},
	"LearningOutcome": {
		{"title", 1, 0, kindText},
		{"dcType", 0, 1, vocab.SkillTypes.Scheme()},
		{"reusabilityLevel", 0, 1, vocab.ReuseLevels.Scheme()},
		{"relatedESCOSkill", 0, 0, vocab.EscoSkills},
	},
	"Accreditation": {
		{"title", 1, 0, kindText},
		{"dcType", 1, 1, vocab.QualityTypes.Scheme()},
		{"accreditingAgent", 1, 1, "Organisation"},
		{"organisation", 0, 0, "Organisation"},
	},
	anyConcept: {
		{"inScheme", 1, 1, "ConceptScheme"},
		{"prefLabel", 1, 0, kindText},
	},
	"ConceptScheme": {},
}
