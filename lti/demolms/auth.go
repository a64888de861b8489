package demolms

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
)

const (
	authPath           = "/mod/lti/auth.php"
	tokenPath          = "/mod/lti/token.php" //nolint:gosec // G101: an address, not a credential
	jwksPath           = "/mod/lti/certs.php"
	returnPath         = "/mod/lti/return.php"
	servicesPath       = "/mod/lti/services.php/"
	deepLinkReturnPath = "/deeplink/return"
)

// posting is a form the browser is made to send.
type posting struct {
	address string
	fields  []field
	// method is "post" when empty, enctype what a browser takes then.
	method, enctype string
	// sandbox takes the page's origin away.
	sandbox bool
}

// authError is an error the tool gets to see (OpenID Connect 3.1.2.6).
type authError struct{ code, description string }

// errHTMLPage marks requests that end on the platform's own error page,
// because the place to answer to is not known or not registered.
var errHTMLPage = errors.New("authentication request cannot be answered to the tool")

// tags is what cleaning as text removes, as PHP's strip_tags.
var tags = regexp.MustCompile(`<[^>]*>?`)

// cleanText is Moodle's PARAM_TEXT: state and nonce go through it and lose
// everything that looks like markup.
func cleanText(s string) string { return tags.ReplaceAllString(s, "") }

// serveAuth is the authentication endpoint (Security Framework 5.1.1.2). It
// answers by an auto-submitting form to a registered address.
func (l *LMS) serveAuth(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		l.errorPage(w, r, http.StatusBadRequest, "The request could not be read.")
		return
	}
	s := l.session(r)
	if s == nil && r.Form.Get("repost") == "" {
		l.repost(w, r)
		return
	}
	out, err := l.answer(s, r.Form)
	if err != nil {
		l.cfg.Logger.InfoContext(r.Context(), "authentication request refused", "err", err)
		l.errorPage(w, r, http.StatusNotFound, "Invalid request: the tool asked for a launch in a way this site does not allow.")
		return
	}
	l.postPage(w, r, "Launching the tool", out)
}

// repost sends the same request again from the platform's own page. A request
// that comes from the tool's page lacks the Lax session cookie; the second one
// has it. Moodle does the same.
func (l *LMS) repost(w http.ResponseWriter, r *http.Request) {
	values, address := r.Form, r.URL.Path
	if r.Method == http.MethodPost {
		values, address = r.PostForm, r.URL.RequestURI()
	}
	fields := []field{{"repost", "1"}}
	for name, vs := range values {
		for _, v := range vs {
			fields = append(fields, field{name, v})
		}
	}
	l.postPage(w, r, "Continuing", posting{address: address, fields: fields})
}

// answer decides what is posted where. The order of the checks is Moodle's:
// what fails before the tool is known ends on an HTML page.
func (l *LMS) answer(s *session, q url.Values) (posting, error) {
	for _, name := range []string{"scope", "response_type", "client_id", "redirect_uri", "login_hint", "nonce"} {
		if q.Get(name) == "" {
			return posting{}, errHTMLPage
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s == nil {
		t, err := l.toolByClient(q.Get("client_id"))
		if err != nil || !t.accepts(q.Get("redirect_uri")) {
			return posting{}, errHTMLPage
		}
		return refuse(q, authError{code: "login_required"})
	}
	if q.Get("scope") != "openid" || q.Get("response_type") != "id_token" {
		return posting{}, errHTMLPage
	}
	p, ok := s.spend(q.Get("lti_message_hint"))
	if !ok {
		return posting{}, errHTMLPage
	}
	t, err := l.launchTool(p.launch)
	if err != nil || !t.accepts(q.Get("redirect_uri")) {
		return posting{}, errHTMLPage
	}
	if e, bad := checkAuth(q, t, loginHint(s.user, p.faults), p.faults); bad {
		return refuse(q, e)
	}
	return l.respond(s, q, p, t)
}

// checkAuth finds the mistakes of which the tool is told.
func checkAuth(q url.Values, t Tool, loginHint string, faults map[Knob]bool) (authError, bool) {
	switch {
	case q.Get("client_id") != t.ClientID:
		return authError{code: "unauthorized_client"}, true
	case q.Get("login_hint") != loginHint:
		return authError{code: "access_denied"}, true
	case q.Get("response_mode") != "form_post":
		return authError{"invalid_request", "Invalid response_mode"}, true
	case q.Get("prompt") != "" && q.Get("prompt") != "none":
		return authError{"invalid_request", "Invalid prompt"}, true
	case faults[ResponseError]:
		return authError{code: "login_required"}, true
	case faults[ResponseErrorMarkup]:
		return authError{"access_denied", `Your session <script>alert("x")</script> & "more"`}, true
	default:
		return authError{}, false
	}
}

func refuse(q url.Values, e authError) (posting, error) {
	fields := []field{{"error", e.code}}
	if e.description != "" {
		fields = append(fields, field{"error_description", e.description})
	}
	return posting{address: q.Get("redirect_uri"), fields: append(fields, field{"state", cleanText(q.Get("state"))})}, nil
}

// respond makes the good response and lets the knobs at it; the caller holds
// the lock.
func (l *LMS) respond(s *session, q url.Values, p pendingLaunch, t Tool) (posting, error) {
	p.launch.Nonce = cleanText(q.Get("nonce"))
	p.launch.Faults = nil
	for _, i := range l.table {
		if p.faults[i.Knob] {
			p.launch.Faults = append(p.launch.Faults, i.Knob)
		}
	}
	idToken, err := l.sign(p.launch, s.key)
	if err != nil {
		return posting{}, err
	}
	if p.launch.DeepLink {
		s.expectAnswer(p.faults)
	}
	out := posting{address: q.Get("redirect_uri"), fields: []field{{"id_token", idToken}, {"state", cleanText(q.Get("state"))}}}
	key := s.user + " " + t.ClientID
	last := l.lastPost[key]
	if len(p.faults) == 0 {
		l.lastPost[key] = out
	}
	return l.spoilResponse(out, last, p, t)
}

// lti11 is a launch of the old kind, signed by nobody in particular.
func (l *LMS) lti11(launch Launch, t Tool) []field {
	return []field{
		{"lti_message_type", "basic-lti-launch-request"},
		{"lti_version", "LTI-1p0"},
		{"resource_link_id", launch.Activity},
		{"user_id", launch.User},
		{"roles", "Instructor"},
		{"oauth_consumer_key", t.ClientID},
		{"oauth_version", "1.0"},
		{"oauth_nonce", "4572616e48616d6d"},
		{"oauth_signature_method", "HMAC-SHA1"},
		{"oauth_signature", "c2lnbmVkIGJ5IG5vYm9keQ=="},
	}
}
