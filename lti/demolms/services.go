package demolms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Media types of the services. Moodle compares them as whole strings.
const (
	typeLineItem   = "application/vnd.ims.lis.v2.lineitem+json"
	typeLineItems  = "application/vnd.ims.lis.v2.lineitemcontainer+json"
	typeScore      = "application/vnd.ims.lis.v1.score+json"
	typeResults    = "application/vnd.ims.lis.v2.resultcontainer+json"
	typeMembers    = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
	maxServiceBody = 1 << 20
)

// serviceRequest is a call whose path, media type and token were checked.
type serviceRequest struct {
	course, id string
	tool       Tool
	body       []byte
	query      url.Values
	path       string
}

// reply is what a service answers; kind is empty for error bodies.
type reply struct {
	status int
	reason string
	kind   string
	body   string
	link   string
	// location is the address of what was made.
	location string
	// phrase is the reason phrase of the status line, in place of the usual.
	phrase string
	// then is done after the answer was written, without the lock.
	then func(context.Context)
}

// action serves one method of a resource.
type action struct {
	method string
	// scopes of which the token needs one.
	scopes []string
	serve  func(*LMS, serviceRequest) reply
}

// resource is one kind of address of the services.
type resource struct {
	path *regexp.Regexp
	// types are the media types of the resource, for Accept and Content-Type.
	types   []string
	actions []action
}

var (
	pathLineItems = regexp.MustCompile(`^/([0-9]+)/lineitems$`)
	pathLineItem  = regexp.MustCompile(`^/([0-9]+)/lineitems/([0-9]+)/lineitem$`)
	pathScores    = regexp.MustCompile(`^/([0-9]+)/lineitems/([0-9]+)/lineitem/scores$`)
	pathResults   = regexp.MustCompile(`^/([0-9]+)/lineitems/([0-9]+)/lineitem/results$`)
	pathNotices   = regexp.MustCompile(`^/pns$`)
	pathMembers   = regexp.MustCompile(`^/CourseSection/([0-9]+)/bindings/([^/]+)/memberships$`)
)

func resources() []resource {
	read := []string{scopeLineItem, scopeLineItemRead}
	write := []string{scopeLineItem}
	return []resource{
		{pathLineItems, []string{typeLineItems, typeLineItem}, []action{
			{http.MethodGet, read, (*LMS).listLineItems}, {http.MethodPost, write, (*LMS).createLineItem},
		}},
		{pathLineItem, []string{typeLineItem}, []action{
			{http.MethodGet, read, (*LMS).getLineItem}, {http.MethodPut, write, (*LMS).putLineItem}, {http.MethodDelete, write, (*LMS).deleteLineItem},
		}},
		{pathScores, []string{typeScore}, []action{{http.MethodPost, []string{scopeScore}, (*LMS).postScore}}},
		{pathResults, []string{typeResults}, []action{{http.MethodGet, []string{scopeResult}, (*LMS).listResults}}},
		{pathNotices, []string{jsonType}, []action{
			{http.MethodGet, []string{scopeNotices}, (*LMS).getHandlers}, {http.MethodPut, []string{scopeNotices}, (*LMS).putHandler},
		}},
		{pathMembers, []string{typeMembers}, []action{{http.MethodGet, []string{scopeMembers}, (*LMS).listMembers}}},
	}
}

// serveServices answers all grade and membership services.
func (l *LMS) serveServices(w http.ResponseWriter, r *http.Request) {
	if l.disturbed(w, r) {
		return
	}
	res, match := l.find(r)
	if match == nil {
		l.refuseService(w, r, http.StatusBadRequest, l.noHandler(r))
		return
	}
	if res.misfit(r) {
		l.refuseService(w, r, http.StatusBadRequest, "No context or unsupported content type")
		return
	}
	i := slices.IndexFunc(res.actions, func(a action) bool { return a.method == r.Method })
	if i < 0 {
		l.refuseService(w, r, http.StatusMethodNotAllowed, "Method Not Allowed")
		return
	}
	tool, ok := l.bearer(r, res.actions[i].scopes)
	if !ok || !l.ownType(r, tool, match) {
		l.refuseService(w, r, http.StatusUnauthorized, "Unauthorized")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxServiceBody))
	if err != nil {
		l.refuseService(w, r, http.StatusBadRequest, "Body too large")
		return
	}
	match = append(match, "", "")
	req := serviceRequest{course: match[1], id: match[2], tool: tool, body: body, query: r.URL.Query(), path: r.URL.Path}
	l.mu.Lock()
	answer := res.actions[i].serve(l, req)
	l.mu.Unlock()
	if r.Method != http.MethodGet && answer.status < http.StatusBadRequest {
		l.saved(r.Context())
	}
	l.writeReply(w, r, answer)
	if answer.then != nil {
		answer.then(r.Context())
	}
}

// find matches path and media types. A wrong media type is no match at all:
// Moodle answers both alike.
func (l *LMS) find(r *http.Request) (resource, []string) {
	path := servicePath(r)
	for _, res := range resources() {
		match := res.path.FindStringSubmatch(path)
		if match == nil {
			continue
		}
		kind := r.Header.Get("Accept")
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			kind = r.Header.Get("Content-Type")
			if parsed, _, err := mime.ParseMediaType(kind); err == nil {
				kind = parsed
			}
		}
		if kind != "" && !slices.Contains(res.types, kind) {
			return resource{}, nil
		}
		return res, match
	}
	return resource{}, nil
}

// misfit finds the singular media type on a list, or the plural on a POST: the
// resource knows both, the method only one.
func (res resource) misfit(r *http.Request) bool {
	return len(res.types) > 1 &&
		((r.Method == http.MethodGet && r.Header.Get("Accept") == typeLineItem) ||
			(r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), typeLineItems)))
}

func servicePath(r *http.Request) string {
	return strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(servicesPath, "/"))
}

func (l *LMS) noHandler(r *http.Request) string {
	return "No handler found for " + servicePath(r) + " " + r.Header.Get("Accept") + " " + r.Header.Get("Content-Type")
}

// bearer finds the tool whose token it is. An unknown, an expired and a token
// of another scope are refused alike.
func (l *LMS) bearer(r *http.Request, scopes []string) (Tool, bool) {
	value, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	l.mu.Lock()
	defer l.mu.Unlock()
	tok, known := l.tokens[value]
	if !found || !known || !l.cfg.Now().Before(tok.expires) {
		return Tool{}, false
	}
	if !slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(tok.scopes, s) }) {
		return Tool{}, false
	}
	t, err := l.toolByClient(tok.clientID)
	return t, err == nil
}

// ownType tells whether the address belongs to the tool of the token: the
// type_id of the query, if any, or the binding in a membership address.
func (l *LMS) ownType(r *http.Request, t Tool, match []string) bool {
	if pathMembers.MatchString(servicePath(r)) {
		return match[2] == t.DeploymentID
	}
	id := r.URL.Query().Get("type_id")
	return id == "" || id == t.DeploymentID
}

// refuseService writes Moodle's JSON of a refused call.
func (l *LMS) refuseService(w http.ResponseWriter, r *http.Request, status int, reason string) {
	l.writeReply(w, r, reply{status: status, reason: reason})
}

func (l *LMS) writeReply(w http.ResponseWriter, r *http.Request, a reply) {
	if a.status >= http.StatusBadRequest {
		l.cfg.Logger.InfoContext(r.Context(), "service call refused", "method", r.Method, "path", r.URL.Path, "status", a.status)
	}
	if a.link != "" {
		w.Header().Set("Link", a.link)
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	if a.phrase != "" && l.writePhrase(w, r, a) {
		return
	}
	if a.kind != "" {
		writeBody(w, a.status, a.kind+"; charset=utf-8", a.body)
		return
	}
	if a.status == http.StatusNoContent {
		w.WriteHeader(a.status)
		return
	}
	type asked struct {
		Method      string `json:"method"`
		URL         string `json:"url"`
		Accept      string `json:"accept,omitempty"`
		ContentType string `json:"contentType"`
	}
	raw, err := json.MarshalIndent(struct {
		Status  int    `json:"status"`
		Reason  string `json:"reason"`
		Request asked  `json:"request"`
	}{a.status, a.reason, asked{r.Method, r.URL.RequestURI(), r.Header.Get("Accept"), r.Header.Get("Content-Type")}}, "", "    ")
	if err != nil {
		raw = []byte("{}")
	}
	writeBody(w, a.status, jsonType+"; charset=utf-8", string(raw))
}

// writePhrase answers with a reason phrase of its own, which net/http cannot
// do, over the bare connection. It is false where there is no such connection;
// HTTP/2 has no reason phrases either.
func (l *LMS) writePhrase(w http.ResponseWriter, r *http.Request, a reply) bool {
	conn, out, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	phrase := strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, a.phrase)
	_, err = fmt.Fprintf(out, "HTTP/1.1 %d %s\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", a.status, phrase, a.kind, len(a.body), a.body)
	if err := errors.Join(err, out.Flush(), conn.Close()); err != nil {
		l.cfg.Logger.DebugContext(r.Context(), "answer not written", "err", err)
	}
	return true
}

func refused(status int, format string, args ...any) reply {
	return reply{status: status, reason: fmt.Sprintf(format, args...)}
}

// encoded answers a value as JSON of a media type.
func encoded(status int, kind string, value any) reply {
	raw, err := json.Marshal(value)
	if err != nil {
		return refused(http.StatusInternalServerError, "Internal Server Error")
	}
	return reply{status: status, kind: kind, body: string(raw)}
}
