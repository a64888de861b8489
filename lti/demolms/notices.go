package demolms

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	claimNoticeService = ltiClaim + "platformnotificationservice"
	claimNotice        = ltiClaim + "notice"
	claimOrigins       = ltiClaim + "origin_contexts"

	noticeHello = "LtiHelloWorldNotice"
	noticeCopy  = "LtiContextCopyNotice"

	// noticeSeconds is how long a notice is good, noticeTimeout how long a
	// tool may take to answer one.
	noticeSeconds = 300
	noticeTimeout = 10 * time.Second
	// manyNotices is more than a tool should read of one delivery.
	manyNotices = 10000
)

func noticeTypes() []string { return []string{noticeHello, noticeCopy} }

func (l *LMS) noticesURL(t Tool) string {
	return l.cfg.Issuer + servicesPath + "pns?type_id=" + url.QueryEscape(t.DeploymentID)
}

// noticeClaim offers the notices to a tool that may have them (Platform
// Notification Service 1.0).
func (l *LMS) noticeClaim(claims map[string]any, t Tool) {
	if slices.Contains(t.Scopes, scopeNotices) {
		claims[claimNoticeService] = map[string]any{
			"service_versions": []string{"1.0"}, "platform_notification_service_url": l.noticesURL(t),
			"scope": []string{scopeNotices}, "notice_types_supported": noticeTypes(),
		}
	}
}

// noticeHandler is where a tool wants notices of one type.
type noticeHandler struct {
	Type    string `json:"notice_type"`
	Handler string `json:"handler"`
	Batch   int    `json:"max_batch_size,omitempty"`
}

// getHandlers shows the handlers of the tool, one per type; the handler of a
// type nobody asked for is empty.
func (l *LMS) getHandlers(r serviceRequest) reply {
	handlers := []noticeHandler{}
	for _, kind := range noticeTypes() {
		handlers = append(handlers, noticeHandler{Type: kind, Handler: l.data.Handlers[r.tool.ClientID][kind]})
	}
	var id any = r.tool.ClientID
	if l.takeLocked(NoticesNumberClientID) != Off {
		id = numericClientID
		if n := json.Number(r.tool.ClientID); json.Valid([]byte(n)) {
			id = n
		}
	}
	return encoded(http.StatusOK, jsonType, map[string]any{"client_id": id, "deployment_id": r.tool.DeploymentID, "notice_handlers": handlers})
}

// putHandler registers a handler, or removes it when it is empty. The handler
// must be on the tool's own host. A hello is sent to its handler at once.
func (l *LMS) putHandler(r serviceRequest) reply {
	var in noticeHandler
	if err := json.Unmarshal(r.body, &in); err != nil || !slices.Contains(noticeTypes(), in.Type) {
		return refused(http.StatusBadRequest, "Invalid notice type")
	}
	u, err := url.Parse(in.Handler)
	if err != nil || (in.Handler != "" && !slices.Contains(r.tool.origins(), u.Scheme+"://"+u.Host)) {
		return refused(http.StatusBadRequest, "Handler must be on the domain of the tool")
	}
	if l.data.Handlers == nil {
		l.data.Handlers = map[string]map[string]string{}
	}
	if l.data.Handlers[r.tool.ClientID] == nil {
		l.data.Handlers[r.tool.ClientID] = map[string]string{}
	}
	l.data.Handlers[r.tool.ClientID][in.Type] = in.Handler
	if in.Handler == "" {
		delete(l.data.Handlers[r.tool.ClientID], in.Type)
	}
	answer := encoded(http.StatusOK, jsonType, in)
	if in.Type == noticeHello {
		answer.then = func(ctx context.Context) { l.notify(ctx, r.tool, noticeHello, nil) }
	}
	return answer
}

// notify sends a notice to the handler of a tool, if it has one. It returns at
// once; Flush waits for the delivery. Nothing is sent a second time.
func (l *LMS) notify(ctx context.Context, t Tool, kind string, extra map[string]any) {
	l.mu.Lock()
	handler := l.data.Handlers[t.ClientID][kind]
	var bodies []string
	var err error
	if handler != "" && l.takeLocked(NoticesNotDelivered) == Off {
		bodies, err = l.noticeBodies(t, kind, extra)
	}
	l.mu.Unlock()
	if err != nil {
		l.cfg.Logger.ErrorContext(ctx, "notice not made", "err", err)
	}
	if len(bodies) == 0 {
		return
	}
	// The notice outlives the request that caused it.
	ctx = context.WithoutCancel(ctx)
	l.deliveries.Go(func() {
		for _, body := range bodies {
			if err := l.deliver(ctx, handler, body); err != nil {
				l.cfg.Logger.InfoContext(ctx, "notice not delivered", "err", err)
			}
		}
	})
}

// Flush waits until the notices under way are delivered or given up.
func (l *LMS) Flush() { l.deliveries.Wait() }

func (l *LMS) deliver(ctx context.Context, handler, body string) error {
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, handler, bytes.NewReader([]byte(body)))
	if err != nil {
		return fmt.Errorf("address of the notice handler: %w", err)
	}
	req.Header.Set("Content-Type", jsonType)
	resp, err := l.cfg.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("post the notice: %w", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxServiceBody))
	if errClose := resp.Body.Close(); errClose != nil {
		err = errClose
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("notice handler answered %s", resp.Status)
	}
	return err
}

// noticeBodies are the deliveries of one notice with the knobs applied; the
// caller holds the lock.
func (l *LMS) noticeBodies(t Tool, kind string, extra map[string]any) ([]string, error) {
	on := map[Knob]bool{}
	for _, i := range noticeKnobs() {
		if i.Knob != NoticesNumberClientID && l.takeLocked(i.Knob) != Off {
			on[i.Knob] = true
		}
	}
	if on[NoticesNotJSON] {
		return []string{"notices=1"}, nil
	}
	claims, err := l.noticeClaims(t, kind, extra)
	if err != nil {
		return nil, err
	}
	for _, i := range noticeKnobs() {
		if on[i.Knob] && i.change != nil {
			i.change(claims)
		}
	}
	if on[NoticesForeignOrigin] && claims[claimOrigins] != nil {
		claims[claimOrigins] = l.otherCourses(extra)
	}
	good, err := l.signNotice(claims, false)
	if err != nil {
		return nil, err
	}
	batch := []string{good}
	switch {
	case on[NoticesBadSignature]:
		bad, err := l.badNotice(claims)
		if err != nil {
			return nil, err
		}
		batch = []string{bad, good}
	case on[NoticesHuge]:
		batch = slices.Repeat(batch, manyNotices)
	case on[NoticesIDToken]:
		if batch, err = l.launchAsNotice(t); err != nil {
			return nil, err
		}
	}
	body, err := envelope(batch)
	if err != nil || !on[NoticesReplayed] {
		return []string{body}, err
	}
	again, err := l.signNotice(claims, false)
	if err != nil {
		return nil, err
	}
	second, err := envelope([]string{again})
	return []string{body, second}, err
}

// envelope is the body of a delivery.
func envelope(jwts []string) (string, error) {
	type item struct {
		JWT string `json:"jwt"`
	}
	items := make([]item, len(jwts))
	for i, j := range jwts {
		items[i] = item{j}
	}
	raw, err := json.Marshal(map[string]any{"notices": items})
	if err != nil {
		return "", fmt.Errorf("encode notices: %w", err)
	}
	return string(raw), nil
}

// noticeClaims are the claims of a notice: no sub, no roles, and a nonce the
// tool never made. The caller holds the lock.
func (l *LMS) noticeClaims(t Tool, kind string, extra map[string]any) (map[string]any, error) {
	nonce, err := l.random(16)
	if err != nil {
		return nil, err
	}
	id, err := l.uuid()
	if err != nil {
		return nil, err
	}
	now := l.cfg.Now()
	claims := map[string]any{
		"iss": l.cfg.Issuer, "aud": t.ClientID, "azp": t.ClientID, "iat": now.Unix(), "exp": now.Unix() + noticeSeconds, "nonce": nonce,
		claimVersion: ltiVersion, claimDeployment: t.DeploymentID,
		claimNotice: map[string]any{"id": id, "timestamp": now.UTC().Format(time.RFC3339), "type": kind},
	}
	maps.Copy(claims, extra)
	return claims, nil
}

// signNotice signs the claims, by a key nobody knows when it is to be bad.
func (l *LMS) signNotice(claims map[string]any, bad bool) (string, error) {
	key := l.key
	if bad {
		other, err := l.unpublishedKey()
		if err != nil {
			return "", err
		}
		key = other
	}
	d := draft{header: map[string]any{"typ": "JWT", "alg": "RS256", "kid": keyID(&l.key.PublicKey)}, claims: claims, key: key}
	return d.compact()
}

// badNotice is a notice of its own, with another id, signed by another key.
func (l *LMS) badNotice(claims map[string]any) (string, error) {
	id, err := l.uuid()
	if err != nil {
		return "", err
	}
	forged := maps.Clone(claims)
	if n, ok := claims[claimNotice].(map[string]any); ok {
		forged[claimNotice] = map[string]any{"id": id, "timestamp": n["timestamp"], "type": n["type"]}
	}
	return l.signNotice(forged, true)
}

// launchAsNotice is the id_token of some learner's launch, sent where a notice
// belongs.
func (l *LMS) launchAsNotice(t Tool) ([]string, error) {
	for _, a := range l.data.Activities {
		for _, u := range l.data.Users {
			if a.ClientID == t.ClientID && u.Role == Learner {
				token, err := l.sign(Launch{User: u.ID, Activity: a.ID, Nonce: "no-login"}, "")
				return []string{token}, err
			}
		}
	}
	return nil, fmt.Errorf("activity of %q: %w", t.ClientID, ErrNotFound)
}

// otherCourses are courses that were not copied: their attachments must not
// follow the copy.
func (l *LMS) otherCourses(extra map[string]any) []string {
	origins, _ := extra[claimOrigins].([]string)
	out := []string{}
	for _, c := range l.data.Courses {
		if !slices.Contains(origins, c.ID) && c.CopiedFrom == "" {
			out = append(out, c.ID)
		}
	}
	return out
}

// uuid is a random UUID (RFC 9562 version 4).
func (l *LMS) uuid() (string, error) {
	h, err := l.random(16)
	if err != nil {
		return "", err
	}
	return strings.Join([]string{h[:8], h[8:12], "4" + h[13:16], "a" + h[17:20], h[20:]}, "-"), nil
}
