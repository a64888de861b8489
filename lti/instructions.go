package lti

import (
	"net/url"
	"slices"
	"strings"
)

// ToolAddresses are the addresses of the tool that a platform asks for.
type ToolAddresses struct {
	Login  string // OpenID Connect login initiation
	Launch string // redirection URI, target link and content selection, all the same
	Keys   string // public key set
	Config string // configuration for Canvas
	Domain string // host, with its port if that is unusual
}

// AddressesOf returns the addresses below the public URL. A loginKey of a registration
// (Registration.LoginKey) makes its login address unambiguous; empty: the one for all.
func AddressesOf(public *url.URL, loginKey string) ToolAddresses {
	origin := public.Scheme + "://" + public.Host
	a := ToolAddresses{
		Login: origin + "/lti/login", Launch: origin + "/lti/launch", Keys: origin + "/lti/jwks", Config: origin + "/lti/config.json", Domain: public.Host,
	}
	if loginKey != "" {
		a.Login += "/" + loginKey
	}
	return a
}

// Instructions is how an administrator of one product connects the tool. Labels are the
// product's own words, in the order of its form.
type Instructions struct {
	Family string // as in Quirks
	Name   string
	// Register is where the registration address is pasted; empty: the product has no
	// dynamic registration, or its registration is not for a single institution.
	Register string
	// Where is the way to the form for entering the tool by hand, and Fields are what goes
	// into it.
	Where  string
	Fields []FormField
	// Returns are what the product shows afterwards and this tool needs.
	Returns []ReturnedValue
	// After are the steps that make the tool usable, after either way.
	After []string
}

// FormField is one field of a form: what to paste, or what to choose.
type FormField struct {
	Label string
	Value string
	// Copy says that Value is pasted as it is; else it says what to choose or write.
	Copy bool
}

// ReturnedValue is a value that a product shows after the tool was entered.
type ReturnedValue struct {
	Label string // in the product
	Flag  string // of sealsmith platforms add
}

// ManualInstructions returns the instructions for a product, by its family or one of the
// other codes under which it calls itself.
func ManualInstructions(family string, a ToolAddresses) (Instructions, bool) {
	family = strings.ToLower(family)
	if known, ok := families[family]; ok {
		family = known
	}
	all := AllInstructions(a)
	i := slices.IndexFunc(all, func(i Instructions) bool { return i.Family == family })
	if i < 0 {
		return Instructions{}, false
	}
	return all[i], true
}

// AllInstructions returns the instructions for every product that has some.
func AllInstructions(a ToolAddresses) []Instructions {
	return []Instructions{
		forMoodle(a), forCanvas(a), forBrightspace(a), forBlackboard(a), forSakai(a), forILIAS(a), forOpenEdX(a),
	}
}

// paste and choose make a form field.
func paste(label, value string) FormField  { return FormField{Label: label, Value: value, Copy: true} }
func choose(label, value string) FormField { return FormField{Label: label, Value: value} }

// parameterLines are the custom parameters as most forms want them, for products that know
// the given variables.
func parameterLines(separator string, variables ...string) string {
	var lines []string
	for _, p := range wantedParameters {
		if slices.Contains(variables, p.variable) {
			lines = append(lines, p.name+"=$"+p.variable)
		}
	}
	return strings.Join(lines, separator)
}
