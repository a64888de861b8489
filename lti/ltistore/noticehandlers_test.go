package ltistore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti"
)

func TestNoticeHandlers(t *testing.T) {
	each(t, func(s *suite) {
		r := s.added()
		h := lti.StoredNoticeHandler{
			OrganisationID: "org-1", RegistrationID: r.ID, DeploymentID: "1", ServiceURL: "https://lms.example.edu/pns",
			NoticeHandler: lti.NoticeHandler{Type: "LtiContextCopyNotice", Handler: "https://tool.example.edu/lti/notices"}, LastError: "busy",
		}
		s.must(s.store.KeepNoticeHandler(s.Context(), h))
		s.must(s.store.HearNotice(s.Context(), r, "1", "LtiContextCopyNotice"))
		s.must(s.store.HearNotice(s.Context(), r, "2", "LtiContextCopyNotice"))
		h.HeardAt = s.now
		s.now = s.now.Add(time.Hour)
		h.LastError, h.ServiceURL = "", "https://lms.example.edu/pns2"
		s.must(s.store.KeepNoticeHandler(s.Context(), h))
		h.PutAt = s.now
		list, err := s.store.NoticeHandlers(s.Context(), r)
		s.must(err)
		if diff := cmp.Diff([]lti.StoredNoticeHandler{h}, list); diff != "" {
			s.Errorf("handlers (-want +got):\n%s", diff)
		}
		stranger := h
		stranger.OrganisationID, stranger.Handler = "org-2", "https://evil.example"
		s.must(s.store.KeepNoticeHandler(s.Context(), stranger))
		again, err := s.store.NoticeHandlers(s.Context(), r)
		s.must(err)
		if diff := cmp.Diff(list, again); diff != "" {
			s.Errorf("another organisation changed it (-want +got):\n%s", diff)
		}
		r.OrganisationID = "org-2"
		if list, err := s.store.NoticeHandlers(s.Context(), r); err != nil || len(list) != 0 {
			s.Errorf("shown to another organisation: %v, %v", list, err)
		}
		if _, err := s.store.Registration(s.Context(), "org-2", r.ID); !errors.Is(err, lti.ErrNotFound) {
			s.Errorf("got %v", err)
		}
	})
}
