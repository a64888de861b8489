package demolms

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// ContentItem is what a tool returns from content selection (Deep Linking 2.0
// section 2.2), as far as Moodle keeps it.
type ContentItem struct {
	Type     string            `json:"type"`
	Title    string            `json:"title"`
	Text     string            `json:"text"`
	URL      string            `json:"url"`
	Custom   map[string]string `json:"custom"`
	LineItem *ItemLineItem     `json:"lineItem"`
}

// ItemLineItem is the grade column a content item asks for. Its label is
// dropped, the column takes the title of the item.
type ItemLineItem struct {
	ScoreMaximum     float64           `json:"scoreMaximum"`
	ResourceID       string            `json:"resourceId"`
	Tag              string            `json:"tag"`
	SubmissionReview *SubmissionReview `json:"submissionReview"`
}

var errDeepLink = errors.New("deep linking response refused")

// serveDeepLinkReturn receives the selection, inside the frame. The frame
// then asks the whole window to go on with the activity form.
func (l *LMS) serveDeepLinkReturn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		l.errorPage(w, r, http.StatusBadRequest, "The answer of the tool could not be read.")
		return
	}
	s := l.session(r)
	if s == nil && r.PostForm.Get("repost") == "" {
		l.repost(w, r)
		return
	}
	if s == nil || r.URL.Query().Get("sesskey") != s.key {
		l.errorPage(w, r, http.StatusForbidden, "Your session has most likely timed out. Log in again.")
		return
	}
	next, err := l.receiveItems(r, s)
	if err != nil {
		l.cfg.Logger.InfoContext(r.Context(), "deep linking response refused", "err", err)
		l.errorPage(w, r, http.StatusBadRequest, "The answer of the tool was refused: "+err.Error())
		return
	}
	l.render(w, r, "selected", view{Title: "Content selected", Bare: true, Leave: true, Data: next})
}

// receiveItems checks the response and returns the page to go on with.
func (l *LMS) receiveItems(r *http.Request, s *session) (string, error) {
	q := r.URL.Query()
	l.mu.Lock()
	t, err := l.toolByType(q.Get("id"))
	_, errCourse := l.course(q.Get("course"))
	wantData, refuse := s.wantData, s.refuseAnswer
	if t.ClientID != "" {
		l.lastAnswer[t.ClientID] = r.PostForm.Get("JWT")
	}
	l.mu.Unlock()
	if err := errors.Join(err, errCourse); err != nil {
		return "", err
	}
	if refuse {
		return "", fmt.Errorf("%w: the selection was begun too long ago", errDeepLink)
	}
	tok, err := parseToken(r.PostForm.Get("JWT"))
	if err != nil {
		return "", fmt.Errorf("%w: %w", errDeepLink, err)
	}
	if err := l.checkDeepLink(tok.claims, t, wantData); err != nil {
		return "", fmt.Errorf("%w: %w", errDeepLink, err)
	}
	if err := l.verifyTool(r.Context(), t, tok); err != nil {
		return "", fmt.Errorf("%w: %w", errDeepLink, err)
	}
	items, err := contentItems(tok.claims)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errDeepLink, err)
	}
	address := "/course/" + q.Get("course") + "/add"
	if len(items) == 0 {
		return address + "?nothing=1", nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	name := s.keepDraft(contentDraft{course: q.Get("course"), clientID: t.ClientID, items: items})
	return address + "?draft=" + name, nil
}

// checkDeepLink checks the claims of a deep linking response; the signature
// comes after, so that the words of a refusal help.
func (l *LMS) checkDeepLink(c map[string]any, t Tool, wantData string) error {
	now := l.cfg.Now().Unix()
	exp, hasExp := number(c, "exp")
	iat, hasIat := number(c, "iat")
	data, _ := c[claimDLData].(string)
	switch {
	case text(c, "iss") != t.ClientID:
		return errors.New("iss is not the client id")
	case !slices.Contains(audience(c), l.cfg.Issuer):
		return errors.New("aud is not this platform")
	case !hasExp || exp <= now:
		return errors.New("expired token")
	case !hasIat || iat > now:
		return errors.New("iat is missing or in the future")
	case text(c, "nonce") == "":
		return errors.New("nonce is missing")
	case text(c, claimMessageType) != messageDeepLinkResponse:
		return errors.New("message_type is not " + messageDeepLinkResponse)
	case text(c, claimVersion) != ltiVersion:
		return errors.New("version is not " + ltiVersion)
	case text(c, claimDeployment) != t.DeploymentID:
		return errors.New("deployment_id is not that of the request")
	case wantData != "" && data != wantData:
		return errors.New("data did not come back unchanged")
	default:
		return nil
	}
}

// contentItems reads the items. Like Moodle it takes a plain link for an
// activity too, and skips what it does not know.
func contentItems(claims map[string]any) ([]ContentItem, error) {
	raw, err := json.Marshal(claims[claimDLItems])
	if err != nil {
		return nil, fmt.Errorf("read content items: %w", err)
	}
	var all []ContentItem
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("read content items: %w", err)
	}
	return slices.DeleteFunc(all, func(i ContentItem) bool { return i.Type != "ltiResourceLink" && i.Type != "link" }), nil
}
