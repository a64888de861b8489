package lti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Notice types that this package understands (Platform Notification Service 1.0, section 4).
const (
	NoticeHelloWorld  = "LtiHelloWorldNotice"
	NoticeContextCopy = "LtiContextCopyNotice"
)

// Notice is a message of a platform that no person carries. Every check that a launch
// passes it has passed, but those of a browser.
type Notice struct {
	ID             string
	Type           string
	At             time.Time // what the platform says; zero when unreadable
	DeploymentID   string
	Context        Context  // NoticeContextCopy: the new course
	OriginContexts []string // NoticeContextCopy: ids of the courses it was copied from
}

// NoticeStore remembers which notices have come.
type NoticeStore interface {
	// SeenNotice reports whether MarkNotice was called for the notice.
	SeenNotice(ctx context.Context, r Registration, n Notice) (bool, error)
	// MarkNotice notes that the notice was dealt with, and that this type of notice arrives.
	MarkNotice(ctx context.Context, r Registration, n Notice) error
}

const (
	maxNoticesBody = 1 << 20
	maxNotices     = 100
	maxAudiences   = 4 // of a notice that are looked for, before anything in it is believed
)

// notices receives what platforms send by themselves: {"notices":[{"jwt":"…"}]}. The body
// is nobody's word; only the tokens in it count. A bad one is dropped and traced and does
// not hold up the others. The answer comes after the notices were dealt with, because
// platforms do not send again, and ours takes milliseconds.
func (t *Tool) notices(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		t.deps.Problem(w, r, refuse(CodeMethod, "POST", r.Method))
		return
	}
	tokens, err := readNotices(w, r)
	if err != nil {
		t.deps.Problem(w, r, err)
		return
	}
	for _, compact := range tokens {
		if err := t.notice(r, compact); err != nil { // the database: the platform may try again
			t.deps.Problem(w, r, err)
			return
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

func readNotices(w http.ResponseWriter, r *http.Request) ([]string, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, refuse(CodeNoticeForm, "application/json", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNoticesBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, refuse(CodeTooLarge, fmt.Sprintf("at most %d bytes", maxNoticesBody), "")
	}
	if err != nil {
		return nil, refuse(CodeNoticeForm, "", "").because(err)
	}
	var envelope struct {
		Notices []struct {
			JWT string `json:"jwt"`
		} `json:"notices"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.Notices == nil {
		return nil, refuse(CodeNoticeForm, `{"notices":[{"jwt":"…"}]}`, "")
	}
	if len(envelope.Notices) > maxNotices {
		return nil, refuse(CodeTooLarge, fmt.Sprintf("at most %d notices", maxNotices), fmt.Sprint(len(envelope.Notices)))
	}
	tokens := make([]string, 0, len(envelope.Notices))
	for _, n := range envelope.Notices {
		tokens = append(tokens, n.JWT)
	}
	return tokens, nil
}

// notice deals with one token. A refusal is traced; an error is the server's.
func (t *Tool) notice(r *http.Request, compact string) error {
	ctx := r.Context()
	tr := t.newTrace(r, TraceNotice)
	reg, n, err := t.checkNotice(ctx, compact, tr)
	if refused, ok := errors.AsType[*CheckError](err); ok {
		tr.refuse(refused)
		t.deps.Logger.InfoContext(ctx, "notice dropped", "err", refused)
		if tr.RegistrationID != "" {
			t.deps.Trace(*tr)
		}
		return nil
	}
	if err != nil {
		return err
	}
	seen, err := t.deps.Notices.SeenNotice(ctx, reg, n)
	if err != nil || seen {
		return err
	}
	if err := t.deps.Notice(ctx, reg, n); err != nil {
		return fmt.Errorf("deal with a notice: %w", err)
	}
	tr.MessageType, tr.Deployment, tr.Context = n.Type, show(n.DeploymentID), show(n.Context.ID)
	tr.Took = t.deps.Now().Sub(tr.began).Microseconds()
	t.deps.Trace(*tr)
	return t.deps.Notices.MarkNotice(ctx, reg, n)
}

// checkNotice finds the registration by what the token says of itself, then checks it like
// an id_token. It has no login, so no state and no nonce of ours; that a launch cannot pass
// as a notice, nor a notice as a launch, is what the claims decide.
func (t *Tool) checkNotice(ctx context.Context, compact string, tr *Trace) (Registration, Notice, error) {
	reg, err := t.noticeRegistration(ctx, compact)
	if err != nil {
		return reg, Notice{}, err
	}
	tr.of(reg)
	if err := checkStatus(reg); err != nil {
		return reg, Notice{}, err
	}
	token, err := parseToken(compact, reg)
	tr.read(token)
	if err != nil {
		return reg, Notice{}, err
	}
	if _, err := t.checkToken(ctx, token, reg); err != nil {
		return reg, Notice{}, err
	}
	n, err := readNotice(token.claims, reg)
	return reg, n, err
}

// noticeRegistration reads issuer and audience of a token that is not to be trusted yet.
func (t *Tool) noticeRegistration(ctx context.Context, compact string) (Registration, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return Registration{}, refuse(CodeTokenForm, "3 parts", fmt.Sprintf("%d parts", len(parts)))
	}
	claims, err := unverifiedClaims(parts[1])
	if err != nil {
		return Registration{}, err
	}
	issuer, _ := claims.text("iss")
	audiences, err := readAudience(claims)
	if err != nil {
		return Registration{}, err
	}
	for _, audience := range audiences[:min(len(audiences), maxAudiences)] {
		if audience == "" || !registrable(issuer, audience) {
			continue
		}
		found, err := t.deps.Store.Registrations(ctx, issuer, audience)
		if err != nil {
			return Registration{}, fmt.Errorf("find the registration of a notice: %w", err)
		}
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return Registration{}, refuse(CodePlatformUnknown, "", issuer)
}

func readNotice(c object, reg Registration) (Notice, error) {
	if err := checkVersion(c); err != nil {
		return Notice{}, err
	}
	about, is := c.object(claimNotice)
	if is != present {
		return Notice{}, refuse(CodeNoticeClaim, claimNotice, "")
	}
	if _, launch := c.raw(claimMessageType); launch {
		return Notice{}, refuse(CodeNoticeClaim, "a notice", "a message with message_type")
	}
	n := Notice{ID: about.id("id"), Type: about.id("type")}
	if n.ID == "" || n.Type == "" {
		return Notice{}, refuse(CodeNoticeClaim, "id and type", "")
	}
	if stamp, _ := about.text("timestamp"); stamp != "" {
		n.At, _ = time.Parse(time.RFC3339, stamp) // kept for the log; zero will do
	}
	n.DeploymentID, _ = c.text(claimDeployment)
	if !slices.Contains(reg.Deployments, n.DeploymentID) {
		return Notice{}, refuse(CodeDeploymentUnknown, "", n.DeploymentID)
	}
	course, _ := c.object(claimContext)
	n.Context = Context{ID: course.id("id"), Label: course.plain("label"), Title: course.plain("title")}
	origins, _ := c.texts(claimOrigins)
	for _, id := range origins {
		if id != "" && len(id) <= maxIDLength && !strings.ContainsFunc(id, isControl) && id != n.Context.ID && len(n.OriginContexts) < maxHistory {
			n.OriginContexts = append(n.OriginContexts, id)
		}
	}
	return n, nil
}
