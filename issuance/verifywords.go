package issuance

// titles of the checks.
var titles = map[string]string{
	"format":      "The file",
	"seal":        "Changed or not",
	"certificate": "Who sealed it",
	"issuer":      "Issuer and seal",
	"dates":       "Dates",
	"content":     "What it says",
	"revocation":  "Withdrawn or not",
	"timestamps":  "Time-stamps",
}

// headline is what stands above a report, and what to do next.
type headline struct{ headline, next string }

const (
	askOriginal  = "Ask the holder for the original file or for the link to it. Opening and saving a sealed file in an editor is enough to break its seal."
	askWithdrawn = "Do not rely on it. " + askIssuer
	askIssuer    = "Ask the organisation that awarded it, by an address that you found yourself and not in the file."
)

// headlines by reason, most by check and reason. They never use the words of signatures.
var headlines = map[string]headline{
	"genuine":    {"This credential is genuine. Nothing in it has changed since it was sealed.", ""},
	"unreadable": {"We could not read this file.", "Ask the holder for the sealed file; its name usually ends in .jsonld or .json."},
	"not_sealed": {"This file is not sealed, so there is nothing to rely on.", ""},

	"seal.changed":       {"This file was changed after sealing.", "Do not rely on what it says. " + askOriginal},
	"seal.several_seals": {"More than one seal is on this file, which this version does not judge.", askIssuer},
	"seal.failed":        {"The seal on this file was not made by the rules.", "Do not rely on what it says. " + askOriginal},
	"seal.unknown":       {"The seal on this file is of a kind that is not known here.", "Try the viewer of Europass. " + askIssuer},

	"certificate.unknown_issuer": {
		"Issuer not known here. The file is unchanged, but we cannot say who sealed it.",
		"This is common for test seals and for issuers from elsewhere; it is not a sign of fraud by itself. " + askIssuer + " If you trust the authority behind the seal, name its certificate as trusted: --trust FILE for the command, SEALSMITH_TRUST for a server. Authorities on the trusted lists of the EU are trusted when these are imported: sealsmith trust import.",
	},
	"certificate.no_trust": {
		"Issuer not known here. The file is unchanged, but nobody you trust vouches for the seal.",
		"No trusted certificates are set up here: --trust FILE for the command, SEALSMITH_TRUST for a server. " + askIssuer,
	},
	"certificate.expired_since": {
		"Unchanged, but the certificate of its seal has run out since.",
		"The file cannot prove that it was sealed before. " + askIssuer,
	},
	"certificate.revoked_before_sealing": {
		"The certificate of this seal was withdrawn before the seal was made.",
		"Do not rely on what it says. " + askIssuer,
	},
	"certificate.revoked_unproven": {
		"Unchanged, but the certificate of its seal was withdrawn.",
		"The file cannot prove that it was sealed before. " + askIssuer,
	},
	"certificate.failed":  {"The certificate on this file is not one that could seal it.", "Do not rely on what it says. " + askIssuer},
	"certificate.unknown": {"Unchanged, but the certificate of its seal cannot be confirmed.", askIssuer},

	"issuer.failed":  {"This credential names another issuer than its seal.", "Do not rely on it. " + askIssuer},
	"issuer.unknown": {"Unchanged, but the issuer in it cannot be compared with its seal.", askIssuer},

	"format.failed":  {"This file is sealed, but it is not a European Digital Credential.", askIssuer},
	"format.unknown": {"This file is sealed, but it follows a model that is not known here.", askIssuer},

	"dates.expired":        {"This credential is genuine, but it has expired.", "Ask the holder whether there is a newer one."},
	"revocation.revoked":   {"This credential was withdrawn on %s by %s.", askWithdrawn},
	"revocation.suspended": {"This credential is suspended since %s by %s.", "Do not rely on it while that is so: it may come back, or be withdrawn for good. " + askIssuer},
	"revocation.replaced":  {"This credential was replaced on %s by %s.", "A corrected credential has taken its place: rely on that one. Its holder has it."},

	"revocation.list_revoked":   {"The signed status list of %s says that this credential was withdrawn.", askWithdrawn},
	"revocation.list_suspended": {"The signed status list of %s says that this credential is suspended.", "Do not rely on it while that is so: it may come back, or be withdrawn for good. " + askIssuer},

	"dates.not_in_force":     {"This credential is not in force yet.", "Check it again on the day it names."},
	"dates.issued_in_future": {"This credential carries a date in the future.", "Check the clock of this machine. " + askIssuer},
	"dates.failed":           {"The dates of this credential do not fit its seal.", "Do not rely on it. " + askIssuer},
	"dates.unknown":          {"Unchanged, but its dates cannot be confirmed.", askIssuer},

	"timestamps.failed": {
		"The record is unchanged, but something beside its seal is false.",
		"What was added to the file after sealing does not belong to it, or was changed. " + askOriginal,
	},

	"content.failed": {"This file is sealed, but it does not say what a credential must say.", askIssuer},
}

// headlineFor finds the words for a check that is not good: by its reason, else by its outcome.
func headlineFor(c Answer) headline {
	if h, ok := headlines[c.ID+"."+c.Reason]; ok {
		return h
	}
	return headlines[c.ID+"."+string(c.Outcome)]
}

// legacyTime is said of a seal that is good, but whose time stands where newer rules have it no longer.
const legacyTime = "It says when it was made by the rules of before 15 July 2025. Some readers of today find such a seal good, but of no European level."

// levelWords by level say what it is worth; the others are put before or behind.
var levelWords = map[string]string{
	"":         "The seal does not hold, or was not made by the European rules, so it has no level.",
	"B-B":      "Level B-B: the seal proves who sealed what. Only the issuer says when, so it cannot be checked any more once its certificate has ended.",
	"B-T":      "Level B-T: it can be checked after its certificate has ended, but whether that was withdrawn must be asked elsewhere.",
	"B-LT":     "Level B-LT: the file carries what is needed to say whether its certificates were withdrawn, so nobody needs to be asked.",
	"B-LTA":    "Level B-LTA: the file carries all that is needed to check it for many years, and an archive time-stamp protects that.",
	"proven":   "A time-stamp proves that the seal existed on %s.",
	"unproven": "There is a time-stamp of the seal, but it cannot be confirmed here.",
	"claimed":  "It was made up as level %s, for which a part is missing or wrong.",
}

// annexI are the elements that Annex I of the Council Recommendation 2022/C 243/02 demands, in
// words that fit into "Not stated: …".
var annexI = []struct{ key, words string }{
	{"learner", "learner"},
	{"title", "title"},
	{"country", "country of the issuer"},
	{"awarding_body", "awarding body"},
	{"issued", "date of issue"},
	{"outcomes", "learning outcomes"},
	{"workload", "workload"},
	{"level", "level"},
	{"assessment", "type of assessment"},
	{"participation", "form of participation"},
	{"quality", "quality assurance"},
}

// checkWords by check and reason, or by reason alone where the check makes no difference.
var checkWords = map[string]string{ //nolint:gosec // G101 takes sentences about certificates for credentials
	"not_reliable": "Not looked at: further checks say nothing about a file whose seal does not hold or whose content cannot be read.",

	"format.fine":             "The file is a sealed European Digital Credential, complete and readable.",
	"format.not_a_credential": "There is a seal, but what it seals is not a credential.",
	"format.other_model":      "What is sealed is a credential of another model than that of European Digital Credentials, so not all of it may be read rightly.",
	"format.no_profile":       "The credential does not say by which European profile it was made.",

	"seal.fine":                "The seal fits every byte of the record.",
	"seal.changed":             "The seal does not fit this content: the content or the seal was changed, or the seal was taken from another file.",
	"seal.key_mismatch":        "The seal names a method that its certificate cannot have used.",
	"seal.weak_key":            "The key of this seal is of a size that can be forged or that nobody uses.",
	"seal.no_key":              "The seal could not be compared with the content, because there is nothing to compare it with.",
	"seal.algorithm_refused":   "The file says it needs no proof of who sealed it. No issuer seals like that.",
	"seal.algorithm_unknown":   "The seal was made with a method that is not known here.",
	"seal.crit_malformed":      "The seal lists rules in a way that the rules forbid.",
	"seal.crit_unknown":        "The seal demands a rule that is not known here, so it may not be judged.",
	"seal.b64_not_critical":    "The seal does not say how its content is to be read.",
	"seal.header_outside_seal": "Something that the seal must protect stands outside it.",
	"seal.not_baseline":        "The seal fits the content, but it was not made by the European rules for seals (JAdES baseline).",
	"seal.legacy_time":         "The seal fits every byte of the record. " + legacyTime,
	"seal.several_seals":       "The file carries more than one seal. Each was looked at, but what they mean together is not judged here.",

	"certificate.fine":                   "The certificate of the seal is good.",
	"certificate.no_key":                 "There is no certificate to look at.",
	"certificate.no_certificate":         "The seal comes without a certificate, so nothing says whose it is.",
	"certificate.bad_certificate":        "The certificate that came with the seal cannot be read.",
	"certificate.thumbprint_differs":     "The certificate in the file is not the one that the seal refers to.",
	"certificate.authority_certificate":  "The certificate is one for certifying others, not for sealing documents.",
	"certificate.key_usage":              "The certificate does not allow its owner to seal documents.",
	"certificate.no_trust":               "The seal fits, but nobody you trust vouches for this certificate. The name on it is “%s”, valid until %s.",
	"certificate.unknown_issuer":         "The seal fits, but nobody known here vouches for this certificate, so the name on it, “%s”, cannot be confirmed. It is valid until %s.",
	"certificate.chain_expired":          "Those who vouch for this certificate were not in their time.",
	"certificate.chain_broken":           "The certificate breaks a rule of the authority that issued it.",
	"certificate.expired_since":          "The certificate of %s ended on %s. The seal says it was made before, but no time-stamp that can be confirmed here proves it.",
	"certificate.expired_since_proven":   "The certificate belongs to %s and ended on %s. A time-stamp proves that the seal was made before.",
	"certificate.revoked_before_sealing": "The certificate of %s was withdrawn before the seal was made.",
	"certificate.revoked_since":          "The certificate of %s was withdrawn since. A time-stamp proves that the seal was made before, so the seal holds.",
	"certificate.revoked_unproven":       "The certificate of %s was withdrawn. The seal says it was made before, but no time-stamp proves it.",
	"certificate.sealed_after_expiry":    "The seal was made after the certificate of %s had ended on %s.",
	"certificate.not_yet_valid":          "The certificate of the seal has not begun yet.",
	"certificate.sealed_before_validity": "The seal says it was made before its certificate began.",
	"certificate.sealed_in_future":       "The seal says it was made at a time that has not come yet.",
	"certificate.no_time":                "The seal does not say when it was made.",

	"issuer.fine":               "The credential and the certificate of its seal name the same organisation: %s (%s).",
	"issuer.no_certificate":     "There is no certificate to compare with.",
	"issuer.no_identifier":      "The credential names “%s”, the certificate of its seal names “%s”; without an official number on both they cannot be compared.",
	"issuer.identifier_differs": "The credential names “%s” (%s), but the seal belongs to “%s” (%s).",
	"issuer.name_differs":       "The credential names “%s”, but the seal belongs to “%s”.",
	"issuer.country_differs":    "The credential places its issuer in %s, the certificate of its seal in %s.",

	"dates.fine":                "Issued on %s, in force until %s.",
	"dates.no_expiry":           "Issued on %s, no expiry.",
	"dates.date_unread":         "A date in the credential cannot be read, so nobody can say whether it is in force.",
	"dates.no_issue_date":       "The credential does not say when it was issued.",
	"dates.issued_in_future":    "The credential says it was issued on %s. That day has not come.",
	"dates.outside_certificate": "The credential says it was issued on %s, but its seal could be used from %s to %s only.",
	"dates.dated_after_seal":    "The credential says it was issued on %s, but it was sealed before, on %s.",
	"dates.expired":             "The credential expired on %s.",
	"dates.not_in_force":        "The credential comes into force on %s.",
	"dates.sealed_long_after":   "The credential says it was issued on %s, but it was sealed only on %s.",

	"content.fine":             "All elements that Annex I of the Council Recommendation on micro-credentials demands are stated.",
	"content.elements_missing": "It says who learnt what and who awarded it. Of the elements that Annex I of the Council Recommendation on micro-credentials demands, not stated: %s.",
	"content.no_title":         "The credential does not say what it is for.",
	"content.no_learner":       "The credential does not say whose it is.",
	"content.no_awarding_body": "The credential does not say who awarded it.",

	"revocation.no_status":             "The file carries no status, so it cannot say whether it was withdrawn. The organisation that awarded it can.",
	"revocation.no_status_but_page":    "The file carries no status, so it cannot say whether it was withdrawn. The page that it names can; look there.",
	"revocation.no_status_but_address": "The file carries no status, so it cannot say whether it was withdrawn. The page that it names can; programs ask %s",
	"revocation.in_force":              "It was not withdrawn: this server keeps it, and was asked on %s.",
	"revocation.suspended":             "It is suspended since %s: it does not count until that is lifted.",
	"revocation.revoked":               "It was withdrawn for good on %s.",
	"revocation.replaced":              "On %s another credential took its place.",
	"revocation.list_in_force":         "It was not withdrawn, says a status list that was signed on %s and counts until %s.",
	"revocation.list_in_force_old":     "It was not withdrawn when its status list was signed on %s. That list has run out on %s, so what happened since it cannot say.",
	"revocation.list_revoked":          "A status list that was signed on %s says that it was withdrawn for good.",
	"revocation.list_suspended":        "A status list that was signed on %s says that it does not count for now.",
	"revocation.list_other":            "The status list that was given was not signed by who sealed this credential, so it says nothing about it.",
	"revocation.status_not_read":       "The file names a status that this version does not read, so it may have been withdrawn. The organisation that awarded it can say.",

	"timestamps.fine":                          "A time-stamp proves when the seal existed.",
	"timestamps.timestamps_unread":             "Something was added to the file after sealing that cannot be read. It does not touch what was sealed.",
	"timestamps.timestamp_unreadable":          "A time-stamp in the file cannot be read, so it proves nothing.",
	"timestamps.timestamp_changed":             "A time-stamp in the file was changed after it was made, or is a forgery.",
	"timestamps.timestamp_no_authority":        "A time-stamp in the file was made by somebody whose certificate is not for time-stamps.",
	"timestamps.timestamp_form_unknown":        "A time-stamp in the file has a form that is not known here, so it was not judged.",
	"timestamps.timestamp_several_tokens":      "A time-stamp of the seal must be one; there are several in its place.",
	"timestamps.timestamp_weak":                "A time-stamp in the file was made with a method that can be forged.",
	"timestamps.timestamp_covers_other_bytes":  "A time-stamp in the file is about something else: it was taken from another file, or what it protects was changed since.",
	"timestamps.timestamp_outside_certificate": "A time-stamp in the file was made outside the time of its own certificate.",
	"timestamps.timestamp_order":               "The time-stamps in the file contradict each other: one says it was made after another that protects it already.",
	"timestamps.timestamp_unknown_authority":   "The time-stamps fit, but nobody known here vouches for who made them, so the time of sealing stays a claim.",
	"timestamps.timestamp_authority_expired":   "The time-stamps fit, but the certificate of who made them has run out since and they were not renewed before, so they prove no time any more.",
	"timestamps.timestamp_authority_revoked":   "The time-stamps fit, but the certificate of who made one was withdrawn.",
	"timestamps.timestamp_after_expiry":        "The time-stamp was made only after the certificate of the seal had ended, so it does not prove that the seal was made before.",
	"timestamps.timestamp_before_claimed_time": "A time-stamp proves that the seal existed before the time at which it says it was made.",
	"timestamps.level_not_reached":             "The file was made up to be checked for a long time, but a part of what that needs is missing or wrong.",
	"timestamps.revocation_data_out_of_time":   "What the file carries about withdrawn certificates is of another time than the seal, so it does not say whether the certificate was withdrawn by then.",
	"timestamps.no_revocation_data":            "The file does not carry all that is needed to say whether certificates in it were withdrawn.",
}
