package vocab

// EscoSkills is the concept scheme of the skills pillar of ESCO. Skills themselves are not
// listed here; a template carries their URIs and labels.
const EscoSkills = "http://data.europa.eu/esco/concept-scheme/skills"

// Modes of learning and of assessment (Annex I: form of participation).
var Modes = europass("learning-assessment",
	row{"online", "920fbb3cbe", "Online", "Online"},
	row{"blended", "e92d221e4d", "Blended", "Blended"},
	row{"on-site", "9191af2ed9", "Presential", "Op locatie"},
	row{"project-based", "7813801c77", "Project based", "Projectmatig"},
	row{"work-based", "729f3bed4b", "Workbased", "Op de werkplek"},
	row{"research-lab", "ed4c557045", "Research-Lab based", "In het onderzoekslab"},
)

// AssessmentTypes say how outcomes are tested (Annex I: type of assessment).
var AssessmentTypes = europass("assessment",
	row{"written-examination", "6e6cb2cc78", "written examination", "schriftelijk examen"},
	row{"oral-examination", "d30284d7df", "oral examination", "mondeling examen"},
	row{"project-work", "795dac4096", "project work", "projectwerk"},
	row{"marked-assignment", "2939dae15f", "marked assignment", "beoordeelde opdracht"},
	row{"practical-assessment", "6a4db9f11d", "practical assessment", "praktijktoets"},
	row{"portfolio", "4f03b91c0e", "portfolio", "portfolio"},
	row{"artefact", "de4d165a6c", "artefact assessment", "beoordeling van een werkstuk"},
	row{"continuous-evaluation", "3484bd7e51", "continuous evaluation", "doorlopende beoordeling"},
	row{"quiz", "b1b68f6735", "quiz", "kennistoets"},
	row{"group-performance", "56539a6507", "group performance", "groepsprestatie"},
	row{"problem-based-learning", "c4256a2726", "problem based learning", "probleemgestuurd leren"},
	row{"peer-assessment", "19a2e5e671", "peer assessment", "beoordeling door medestudenten"},
	row{"peer-review", "812e3b0ae1", "peer review", "collegiale toetsing"},
	row{"attendance", "7331eb4762", "level of attendance", "mate van aanwezigheid"},
)

// Supervisions say who watches an assessment and whether identity is checked (Annex I:
// supervision and identity verification). The fourth concept of the list of the European
// Union, 44314532f9, is left out: no published label of it could be found, and a sealed file
// must not carry a guess.
var Supervisions = europass("supervision-verification",
	row{"supervised-with-id", "70be69aaf9", "Supervised with ID Verification", "Onder toezicht, identiteit gecontroleerd"},
	row{"unsupervised-with-id", "df2880c5cb", "Unsupervised with ID verification", "Zonder toezicht, identiteit gecontroleerd"},
	row{"unsupervised-without-id", "c598449d64", "Unsupervised without ID Verification", "Zonder toezicht, identiteit niet gecontroleerd"},
)

// QualityTypes are the kinds of accreditation (Annex I: type of quality assurance).
var QualityTypes = europass("accreditation",
	row{"institutional-quality-assurance", "bb4618238e", "Institutional Quality Assurance", "Kwaliteitsborging van de instelling"},
	row{"programme-quality-assurance", "820101cba6", "Program Quality Assurance", "Kwaliteitsborging van de opleiding"},
	row{"institutional-licence", "003293d2ce", "Institutional License", "Erkenning van de instelling"},
	row{"programme-licence", "e57dddfcf3", "Program License", "Erkenning van de opleiding"},
)

// EQF is the list of levels of the European Qualifications Framework; codes "1" to "8".
var EQF = europass("eqf",
	row{"1", "", "Level 1", "Niveau 1"},
	row{"2", "", "Level 2", "Niveau 2"},
	row{"3", "", "Level 3", "Niveau 3"},
	row{"4", "", "Level 4", "Niveau 4"},
	row{"5", "", "Level 5", "Niveau 5"},
	row{"6", "", "Level 6", "Niveau 6"},
	row{"7", "", "Level 7", "Niveau 7"},
	row{"8", "", "Level 8", "Niveau 8"},
)

// SkillTypes are the two kinds of outcome that ESCO knows.
var SkillTypes = europass("skill-type",
	row{"skill", "", "skill", "vaardigheid"},
	row{"knowledge", "", "knowledge", "kennis"},
)

// ReuseLevels say how far an outcome can be used outside its trade (ESCO).
var ReuseLevels = europass("skill-reuse-level",
	row{"transversal", "", "transversal skills and competences", "transversale vaardigheden en competenties"},
	row{"cross-sector", "", "cross-sector skills and competences", "sectoroverschrijdende vaardigheden en competenties"},
	row{"sector-specific", "", "sector specific skills and competences", "sectorspecifieke vaardigheden en competenties"},
	row{"occupation-specific", "", "occupation specific skills and competences", "beroepsspecifieke vaardigheden en competenties"},
)

// CreditFrameworks are the credit systems of the European Union.
var CreditFrameworks = europass("education-credit",
	row{"ects", "6fcec5c5af", "European Credit Transfer System", "Europees systeem voor overdracht van studiepunten"},
	row{"ecvet", "60b314e826", "European credit system for vocational education and training", "Europees studiepuntensysteem voor beroepsonderwijs en -opleiding"},
)

// CredentialProfiles name the kind of European Digital Credential. A micro-credential is
// "generic"; "mandated" is added when it is sealed by mandate of the awarding body.
var CredentialProfiles = europass("credential",
	row{"generic", "e34929035b", "Generic", "Algemeen"},
	row{"mandated", "c_9a31f32a", "Mandated Issue", "Afgifte in mandaat"},
)

// EvidenceTypes say what a piece of evidence in a credential is.
var EvidenceTypes = europass("evidence-type",
	row{"mandate", "c_18016257", "Mandate", "Mandaat"},
	row{"accreditation", "c_991b06c6", "Accreditation", "Accreditatie"},
)

// LearningOpportunities are the kinds of course; ours are short learning programmes.
var LearningOpportunities = europass("learning-opportunity",
	row{"short-learning-programme", "74a4a268e8", "Short learning programme", "Kort leertraject"},
	row{"course", "05053c1cbe", "Course", "Cursus"},
	row{"module", "0f7dac46ca", "Programme module", "Module van een opleiding"},
	row{"mooc", "17744a2647", "MOOC", "MOOC"},
)

// LearningSettings tell formal from non-formal learning.
var LearningSettings = europass("learning-setting",
	row{"formal", "6fd4685715", "formal learning", "formeel leren"},
	row{"non-formal", "e207a81fc7", "non-formal learning", "niet-formeel leren"},
)

// Encodings of media inside a credential.
var Encodings = europass("encoding", row{"base64", "6146cde7dd", "base64", "base64"})

// FileTypes of media inside a credential.
var FileTypes = authority("file-type",
	row{"png", "PNG", "PNG", "PNG"},
	row{"jpeg", "JPEG", "JPEG", "JPEG"},
	row{"pdf", "PDF", "PDF", "PDF"},
)
