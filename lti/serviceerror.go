package lti

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Reasons of a ServiceError. They are stable.
const (
	ReasonAddress         = "address"           // the address the platform named cannot be called
	ReasonUnreachable     = "unreachable"       // no answer: network, TLS or time
	ReasonTokenRefused    = "token-refused"     // the token endpoint refused the tool
	ReasonScopeNotGranted = "scope-not-granted" // the token came without the scope that is needed
	ReasonUnauthorized    = "unauthorized"      // refused with a fresh token, too
	ReasonForbidden       = "forbidden"
	ReasonGone            = "gone"         // 404 or 410
	ReasonRejected        = "rejected"     // other 4xx: the same request will be refused again
	ReasonBusy            = "busy"         // 429 or 5xx: worth another try later
	ReasonAnswer          = "answer"       // not what the specification says, for example a page of HTML
	ReasonConflict        = "conflict"     // 409: the platform holds something younger
	ReasonUnclear         = "unclear"      // several line items could be the one; a person has to say
	ReasonAboveLimit      = "above-limit"  // more members than the platform hands out
	ReasonTooLarge        = "too-large"    // more bytes, pages or rows than a course can have
	ReasonForeignPage     = "foreign-page" // the next page is on another host, which must not get the token
)

// ServiceError is a failed call of a platform's service. Only ReasonBusy and
// ReasonUnreachable are worth an automatic retry; see Temporary.
type ServiceError struct {
	Op     string // what was done: "read the results"
	URL    string // what was called
	Status int    // HTTP status, 0 when there was no answer
	Reason string // one of the Reason constants
	Phrase string // reason phrase of the answer where it says more than the status, cut and cleaned
	Body   string // beginning of the answer, cut and cleaned; may be empty
	// RetryAt is when the platform asked to be called again (Retry-After), at most a day
	// ahead; zero: it did not ask. Services makes no call to the same host before.
	RetryAt time.Time
	err     error
}

// Error implements error.
func (e *ServiceError) Error() string {
	text := fmt.Sprintf("%s at %s: %s", e.Op, e.URL, e.Reason)
	if e.Status != 0 {
		text += fmt.Sprintf(" (%d %s)", e.Status, http.StatusText(e.Status))
	}
	if e.Phrase != "" {
		text += fmt.Sprintf(": %q", e.Phrase)
	}
	if e.Body != "" {
		text += fmt.Sprintf(": %q", e.Body)
	}
	if e.err != nil {
		text += ": " + e.err.Error()
	}
	return text
}

// Unwrap returns the cause, if there is one.
func (e *ServiceError) Unwrap() error { return e.err }

// Temporary reports whether the same call may succeed later without anybody's help.
func (e *ServiceError) Temporary() bool {
	return e.Reason == ReasonBusy || e.Reason == ReasonUnreachable
}

var serviceSentences = map[string]string{
	ReasonAddress:         "The learning platform names an address that this tool must not call.",
	ReasonUnreachable:     "The learning platform does not answer at the moment.",
	ReasonTokenRefused:    "The learning platform refused the key of this tool. Its administrator should check the client id and the key set URL of the tool.",
	ReasonScopeNotGranted: "The learning platform does not allow this tool to use its grade service. Its administrator can switch it on in the settings of the tool.",
	ReasonUnauthorized:    "The learning platform refused this tool although it had just let it in. Its administrator should check the permissions of the tool.",
	ReasonForbidden:       "The learning platform does not allow this tool to read here.",
	ReasonGone:            "The grade column does not exist in the learning platform any more.",
	ReasonRejected:        "The learning platform refused the request.",
	ReasonBusy:            "The learning platform is busy or under maintenance.",
	ReasonAnswer:          "The learning platform answered something that is not a grade service.",
	ReasonConflict:        "The learning platform holds a younger score for this person.",
	ReasonUnclear:         "The course has several grade columns of this activity, or one that belongs to another activity. A teacher should remove those that are not needed.",
	ReasonAboveLimit:      "The course has more members than the learning platform hands out.",
	ReasonTooLarge:        "The learning platform answered with more than a course can hold.",
	ReasonForeignPage:     "The learning platform continues its answer on another host, which this tool does not follow.",
}

// Sentence returns what happened in a sentence for people, in English. It says nothing in
// the platform's own words: those are in Phrase and Body, and may be in any language.
func (e *ServiceError) Sentence() string { return serviceSentences[e.Reason] }

// words are what is kept about a refusal: its reason, the sentence, and what the platform
// said.
func (e *ServiceError) words() string {
	parts := []string{e.Reason + ":", e.Sentence()}
	for _, said := range []string{e.Phrase, e.Body} {
		if said != "" {
			parts = append(parts, strconv.Quote(said))
		}
	}
	return strings.Join(parts, " ")
}
