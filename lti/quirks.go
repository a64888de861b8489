package lti

import (
	"net/url"
	"strings"
	"time"
)

// Quirks is how a product differs from the specifications, or from what they leave open,
// as far as a tool has to know it. The table is the only place where a product's name
// decides anything.
type Quirks struct {
	// Family is the product_family_code of the tool_platform claim.
	Family string
	// Name is the product's name, for people.
	Name string
	// SharedIssuer: one issuer serves all customers, so a client id alone does not say
	// whose users come, and new deployments wait for an administrator.
	SharedIssuer bool
	// Hosts are host names (with a leading dot: all below) from which the cloud of this
	// product serves pages and services beside the registered addresses.
	Hosts []string
	// TokenAudience is the aud of service token requests where it is not the token URL.
	TokenAudience string
	// ResultsLimit says that a limit may be sent when results are read.
	ResultsLimit bool
	// MaxPage is the largest page of members that the product gives; 0: no known limit.
	MaxPage int
	// ScoreStep is the least difference between the timestamps of two scores for one user
	// that the product tells apart; 0: a millisecond.
	ScoreStep time.Duration
	// ScoreExtra are members added to a score (AGS 2.0, section 3.4.10: extensions).
	ScoreExtra map[string]any
	// Storage says that the product offers platform storage without announcing it in the
	// login: the tool has to ask for its capabilities.
	Storage bool
	// NoDeepLinking: the product, or many of its installations, has no deep linking.
	NoDeepLinking bool
	// DropsLabel: the label of a deep linking line item is lost; the column is named after
	// the activity.
	DropsLabel bool
	// Source says where this was seen or read.
	Source string
}

// quirkTable is what was measured on real platforms or read in their sources.
var quirkTable = []Quirks{
	{
		Family: "moodle", Name: "Moodle", ScoreStep: time.Second, DropsLabel: true,
		Source: "Moodle 4.5.6 on the wire: results with a limit end in an error page, scores compare whole seconds (409), lineItem.label is dropped",
	},
	{
		Family: "canvas", Name: "Canvas", SharedIssuer: true, ResultsLimit: true, MaxPage: 50, Hosts: []string{".instructure.com", ".canvaslms.com"},
		ScoreExtra: map[string]any{"https://canvas.instructure.com/lti/submission": map[string]any{"new_submission": false}},
		Source:     "Canvas API documentation: one issuer for all of the cloud, endpoints on sso.canvaslms.com, pages of 50 members, a score makes a submission unless told otherwise",
	},
	{ //nolint:gosec // G101: an audience is no secret
		Family: "desire2learn", Name: "Brightspace", ResultsLimit: true, TokenAudience: "https://api.brightspace.com/auth/token", Hosts: []string{".brightspace.com", ".desire2learn.com"},
		Source: "Sakai Plus installation guide and hypothesis/lms: one token audience for every tenant",
	},
	{
		Family: "blackboardlearn", Name: "Blackboard Learn", SharedIssuer: true, ResultsLimit: true, Storage: true, Hosts: []string{".blackboard.com", ".anthology.com"},
		Source: "Anthology documentation, 2024-01: issuer https://blackboard.com for everybody, storage is not announced in the login",
	},
	{Family: "sakai", Name: "Sakai", ResultsLimit: true, Source: "Sakai Plus documentation: dynamic registration, storage with a quota, one token address per tool"},
	{Family: "ilias", Name: "ILIAS", ResultsLimit: true, NoDeepLinking: true, Source: "ILIAS README of the LTI consumer: releases up to 10 launch only; deep linking came with 11"},
	{Family: "open-edx", Name: "Open edX", ResultsLimit: true, Source: "xblock-lti-consumer: keys and token address per block, columns take whole numbers as maximum"},
	{Family: "schoology", Name: "Schoology", SharedIssuer: true, ResultsLimit: true, MaxPage: 100, Hosts: []string{".schoology.com"}, Source: "Schoology documentation: issuer https://schoology.schoology.com for everybody, pages of 100 members"},
}

// families are other codes under which products call themselves, and issuers by which the
// clouds are known before they have said who they are.
var families = map[string]string{
	"brightspace": "desire2learn", "d2l": "desire2learn", "blackboard": "blackboardlearn", "openedx": "open-edx", "open_edx": "open-edx",
}

var cloudIssuers = map[string]string{
	"canvas.instructure.com": "canvas", "canvas.beta.instructure.com": "canvas", "canvas.test.instructure.com": "canvas",
	"blackboard.com": "blackboardlearn", "schoology.schoology.com": "schoology",
}

// Quirks returns what is known about the registration's product; what is not known is as
// the specifications say, and no limit is sent with results.
func (r Registration) Quirks() Quirks {
	family := strings.ToLower(r.ProductFamily)
	if known, ok := families[family]; ok {
		family = known
	}
	if u, err := url.Parse(r.Issuer); err == nil {
		// A cloud is known by its issuer, whatever the registration says: a customer must
		// not be able to make a shared issuer look like one of their own.
		host := strings.ToLower(u.Hostname())
		if known, ok := cloudIssuers[host]; ok {
			family = known
		} else if family == "" && strings.HasSuffix(host, ".brightspace.com") {
			family = "desire2learn"
		}
	}
	for _, q := range quirkTable {
		if q.Family == family {
			return q
		}
	}
	return Quirks{Family: family}
}

// audience is the aud of service token requests.
func (r Registration) audience() string {
	switch {
	case r.TokenAudience != "":
		return r.TokenAudience
	case r.Quirks().TokenAudience != "":
		return r.Quirks().TokenAudience
	}
	return r.TokenURL
}

// PlatformFamilies returns the table of products, for pages that list them. The caller
// must not change it.
func PlatformFamilies() []Quirks { return quirkTable }
