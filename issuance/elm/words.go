package elm

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// mandateStatement is the official wording of a sealing by mandate, as Europass writes it.
const mandateStatement = "Every claim inside this credential is to be construed as having been made by the indicated awarding body, " +
	"who maintains sole responsibility for said claim. By applying its electronic seal, the signing organisation certifies the " +
	"correctness of origin of each claim, as having been made by the indicated awarding body."

// words are the sentences we write ourselves, in one language. What a template says is
// never translated here.
type words struct {
	completed   string // of a title
	passed      string
	grade       string // score, maximum, percentage
	verify      string
	verifyAt    string // URL
	replaces    string
	replacesIt  string // id of the other credential
	stackable   string
	further     string
	cycles      map[string]string
	months      [12]string
	date        string // "%[1]d day, %[2]s month, %[3]d year"
	comma       bool   // decimal comma
	page        pageWords
	identityOK  map[string]string // supervision code to a clause on the page
	participate map[string]string // mode code to a clause on the page
}

// pageWords stand on the page.
type pageWords struct {
	kind, awardedTo, showed, credits, workload, hours, level, mark, outcomes string
	assessed, taught, quality, issued, number, sealedBy, scan, nameInFile    string
	footer1, footer2, creditUnit, levelUnit, passed, more, until             string
}

var allWords = map[string]words{
	"en": {
		completed:  "Successfully completed the micro-credential %s.",
		passed:     "Passed",
		grade:      "%s of %s (%s %%)",
		verify:     "Verification",
		verifyAt:   "The issuer shows the state of this credential, and whether it was withdrawn, at %s",
		replaces:   "Replacement",
		replacesIt: "This credential takes the place of %s, which does not count any more.",
		stackable:  "Integration and stackability",
		further:    "Further information",
		cycles: map[string]string{
			"short": "Short cycle (QF-EHEA)", "first": "First cycle (QF-EHEA)",
			"second": "Second cycle (QF-EHEA)", "third": "Third cycle (QF-EHEA)",
		},
		months: [12]string{
			"January", "February", "March", "April", "May", "June", "July", "August", "September",
			"October", "November", "December",
		},
		date: "%[1]d %[2]s %[3]d",
		page: pageWords{
			kind: "Micro-credential", awardedTo: "awarded to",
			showed:  "who completed this short course and showed, in assessed work, what is listed below.",
			credits: "Credits", workload: "Workload", hours: "%d hours", level: "Level", mark: "Result",
			outcomes: "The holder is able to", assessed: "Assessed by", taught: "Taught", quality: "Quality",
			issued: "Issued on", number: "Number", sealedBy: "Sealed by", scan: "Scan to check",
			nameInFile: "the person named in the sealed file",
			footer1:    "This page is a picture of a sealed European Digital Credential. The sealed file is the original:",
			footer2:    "it carries an electronic seal and cannot be changed without breaking it.",
			creditUnit: "%s ECTS", levelUnit: "EQF %d", passed: "Passed", more: "and %d more, in the sealed file", until: "Valid until",
		},
		identityOK: map[string]string{
			"supervised-with-id":   "supervised, identity checked",
			"unsupervised-with-id": "unsupervised, identity checked", "unsupervised-without-id": "unsupervised, identity not checked",
		},
		participate: map[string]string{
			"online": "online", "blended": "on campus and online", "on-site": "on site",
			"project-based": "in projects", "work-based": "in the workplace", "research-lab": "in the research lab",
		},
	},
	"nl": {
		completed:  "Heeft de microcredential %s met succes afgerond.",
		passed:     "Geslaagd",
		grade:      "%s van %s (%s %%)",
		verify:     "Controle",
		verifyAt:   "De uitgever toont de staat van dit bewijs, ook of het is ingetrokken, op %s",
		replaces:   "Vervanging",
		replacesIt: "Dit bewijs komt in de plaats van %s, dat niet meer geldt.",
		stackable:  "Inpassing en stapelbaarheid",
		further:    "Meer informatie",
		cycles: map[string]string{
			"short": "Korte cyclus (QF-EHEA)", "first": "Eerste cyclus (QF-EHEA)",
			"second": "Tweede cyclus (QF-EHEA)", "third": "Derde cyclus (QF-EHEA)",
		},
		months: [12]string{
			"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september",
			"oktober", "november", "december",
		},
		date: "%[1]d %[2]s %[3]d", comma: true,
		page: pageWords{
			kind: "Microcredential", awardedTo: "uitgereikt aan",
			showed:  "die deze korte cursus afrondde en in beoordeeld werk liet zien wat hieronder staat.",
			credits: "Studiepunten", workload: "Studielast", hours: "%d uur", level: "Niveau", mark: "Resultaat",
			outcomes: "De houder kan", assessed: "Beoordeeld door", taught: "Gegeven", quality: "Kwaliteit",
			issued: "Uitgegeven op", number: "Nummer", sealedBy: "Verzegeld door", scan: "Scan om te controleren",
			nameInFile: "de persoon genoemd in het verzegelde bestand",
			footer1:    "Deze pagina is een afbeelding van een verzegelde European Digital Credential. Het verzegelde bestand",
			footer2:    "is het origineel: het draagt een elektronisch zegel en kan niet ongemerkt worden gewijzigd.",
			creditUnit: "%s EC", levelUnit: "EQF %d", passed: "Geslaagd", more: "en nog %d, in het verzegelde bestand", until: "Geldig tot en met",
		},
		identityOK: map[string]string{
			"supervised-with-id":   "onder toezicht, identiteit gecontroleerd",
			"unsupervised-with-id": "zonder toezicht, identiteit gecontroleerd", "unsupervised-without-id": "zonder toezicht, identiteit niet gecontroleerd",
		},
		participate: map[string]string{
			"online": "online", "blended": "op locatie en online", "on-site": "op locatie",
			"project-based": "in projecten", "work-based": "op de werkplek", "research-lab": "in het onderzoekslab",
		},
	},
}

// wordsIn returns our words in lang, else in English.
func wordsIn(lang string) words {
	if w, ok := allWords[lang]; ok {
		return w
	}
	return allWords["en"]
}

// number writes x with at most two decimals.
func (w words) number(x float64) string {
	s := strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64)
	if w.comma {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s
}

// result is the grade in words: the score when there is one to show, else only that it was passed.
func (w words) result(in Input) string {
	if !in.Version.Content.Assessment.ShowGrade {
		return w.passed
	}
	return fmt.Sprintf(w.grade, w.number(in.Score), w.number(in.Maximum), w.number(100*in.Score/in.Maximum))
}

// mark is the result as it stands on the page, where there is little room.
func (w words) mark(in Input) string {
	if !in.Version.Content.Assessment.ShowGrade {
		return w.page.passed
	}
	return w.number(100*in.Score/in.Maximum) + " %"
}

func (w words) day(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf(w.date, t.Day(), w.months[t.Month()-1], t.Year())
}
