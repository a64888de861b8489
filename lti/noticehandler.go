package lti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// NoticeHandler is the address of the tool to which a platform sends notices of one type.
type NoticeHandler struct {
	Type    string // "LtiContextCopyNotice"
	Handler string // empty: none
}

// NoticeHandlers is what a platform answers about one deployment (PNS 1.0, section 4). The
// ids are the platform's word, and empty where it does not say them.
type NoticeHandlers struct {
	ClientID     string
	DeploymentID string
	Handlers     []NoticeHandler
}

// Handler returns the address for a type of notices, or nothing.
func (n NoticeHandlers) Handler(noticeType string) string {
	for _, h := range n.Handlers {
		if h.Type == noticeType {
			return h.Handler
		}
	}
	return ""
}

// NoticeHandlers reads where the platform sends notices of the deployment whose service
// is at serviceURL (from Launch.Notices).
func (s *Services) NoticeHandlers(ctx context.Context, r Registration, serviceURL string) (NoticeHandlers, error) {
	return s.noticeHandlers(ctx, r, call{op: "read the notice handlers", method: http.MethodGet, address: serviceURL})
}

// PutNoticeHandler lets the platform send notices of the type to handlerURL, in place of
// the handler it had: there is one per type and deployment. An empty handlerURL ends that.
// It may be repeated. Canvas takes only a handler on the domain of the tool. It returns the
// handlers as they are afterwards, as far as the platform says them.
func (s *Services) PutNoticeHandler(ctx context.Context, r Registration, serviceURL, noticeType, handlerURL string) (NoticeHandlers, error) {
	const op = "put a notice handler"
	if err := validateText("the type of notices", noticeType); err != nil {
		return NoticeHandlers{}, fmt.Errorf("%s: %w", op, err)
	}
	if handlerURL != "" {
		if err := validateURL("the handler", handlerURL); err != nil {
			return NoticeHandlers{}, fmt.Errorf("%s: %w", op, err)
		}
	}
	body, err := marshal(map[string]string{"notice_type": noticeType, "handler": handlerURL})
	if err != nil {
		return NoticeHandlers{}, err
	}
	return s.noticeHandlers(ctx, r, call{op: op, method: http.MethodPut, address: serviceURL, contentType: "application/json", body: body})
}

func (s *Services) noticeHandlers(ctx context.Context, r Registration, c call) (NoticeHandlers, error) {
	c.accept, c.limit = "application/json", pageMaxBytes
	a, err := s.authorized(ctx, r, []string{ScopeNoticeHandlers}, c)
	if err != nil {
		return NoticeHandlers{}, err
	}
	if len(a.body) == 0 && c.method == http.MethodPut {
		return NoticeHandlers{}, nil
	}
	o, err := parseObject(a.body)
	if err != nil {
		return NoticeHandlers{}, a.fail(ReasonAnswer, err)
	}
	var rows []json.RawMessage
	if list, ok := o.raw("notice_handlers"); ok && json.Unmarshal(list, &rows) != nil {
		return NoticeHandlers{}, a.fail(ReasonAnswer, errors.New("notice_handlers is not a list"))
	}
	// Canvas writes the client id as a number.
	n := NoticeHandlers{ClientID: o.textOrNumber("client_id"), DeploymentID: o.textOrNumber("deployment_id")}
	for _, raw := range rows {
		row, err := parseObject(raw)
		if err != nil {
			return NoticeHandlers{}, a.fail(ReasonAnswer, fmt.Errorf("notice handler: %w", err))
		}
		h := NoticeHandler{}
		h.Type, _ = row.text("notice_type")
		h.Handler, _ = row.text("handler")
		n.Handlers = append(n.Handlers, h)
	}
	return n, nil
}
