package pdf

import (
	"fmt"
	"time"
)

// words are the sentences we write ourselves, in one language. What the credential says is
// never translated here.
type words struct {
	kind, awardedTo, showed, nameInFile string
	outcomes, mandate, validUntil       string
	issued, number, sealedBy, scan      string
	attached, original, boxes, page     string
	months                              [12]string
}

var allWords = map[string]words{
	"en": {
		kind: "Micro-credential", awardedTo: "awarded to", nameInFile: "the person named in the sealed file",
		showed:   "who completed this short course and showed, in assessed work, what is listed below.",
		outcomes: "The holder is able to", mandate: "Sealed by mandate", validUntil: "Valid until",
		issued: "Issued on", number: "Number", sealedBy: "Sealed by", scan: "Scan to check",
		attached: "Attached to this PDF is the sealed European Digital Credential, %s, sealed by %s.",
		original: "The attached file is the original. This PDF shows what it says, and carries an electronic seal of its own.",
		boxes:    "□ stands for letters that this page cannot show; the attached file has them.",
		page:     "Page %d of %d",
		months: [12]string{
			"January", "February", "March", "April", "May", "June", "July", "August", "September",
			"October", "November", "December",
		},
	},
	"nl": {
		kind: "Microcredential", awardedTo: "uitgereikt aan", nameInFile: "de persoon genoemd in het verzegelde bestand",
		showed:   "die deze korte cursus afrondde en in beoordeeld werk liet zien wat hieronder staat.",
		outcomes: "De houder kan", mandate: "Verzegeld met mandaat", validUntil: "Geldig tot en met",
		issued: "Uitgegeven op", number: "Nummer", sealedBy: "Verzegeld door", scan: "Scan om te controleren",
		attached: "Bij deze pdf zit de verzegelde European Digital Credential, %s, verzegeld door %s.",
		original: "Het bijgevoegde bestand is het origineel. Deze pdf toont wat erin staat en draagt een eigen elektronisch zegel.",
		boxes:    "□ staat voor letters die deze pagina niet kan tonen; het bijgevoegde bestand heeft ze.",
		page:     "Pagina %d van %d",
		months: [12]string{
			"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september",
			"oktober", "november", "december",
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

// day writes a date in UTC, as it stands in the credential.
func (w words) day(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf("%d %s %d", t.Day(), w.months[t.Month()-1], t.Year())
}
