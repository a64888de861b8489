package lti_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
)

// FuzzNotice posts whatever body comes; TOKEN stands for whatever claims come, signed by
// the platform, and FORGED for the same signed by somebody else. Only the former are dealt
// with, once, and never open a session.
func FuzzNotice(f *testing.F) {
	r := newRig(f)
	base := string(must(json.Marshal(r.noticeBase("n-1"))))
	const header = `{"alg":"RS256","kid":"k1"}`
	f.Add(`{"notices":[{"jwt":"TOKEN"}]}`, header, base)
	f.Add(`{"notices":[{"jwt":"FORGED"},{"jwt":"TOKEN"},{"jwt":"TOKEN"}]}`, header, base)
	f.Add(`{"notices":[{"jwt":7}]}`, header, base)
	f.Add(`{"notices":null}`, header, `{}`)
	f.Add(`[{"jwt":"TOKEN"}]`, `{"alg":"none"}`, `{"iss":"`+issuer+`","aud":["`+clientID+`"]}`)
	f.Add(`{"notices":[{"jwt":"TOKEN"}]}`, header, strings.Replace(base, `"course-1"`, `"","\u0000",7,"course-2"`, 1))
	f.Add(`{"notices":[{"jwt":"TOKEN"}]}`, `{"alg":"RS256","kid":"k9","typ":"JWT"}`, string(must(json.Marshal(r.claims(attempt{nonce: "n"})))))
	f.Fuzz(func(t *testing.T, body, header, claims string) {
		r.tb, r.notices, r.traces = t, nil, nil
		if _, err := r.db.Exec(t.Context(), "delete from notices"); err != nil {
			t.Fatal(err)
		}
		token := signRaw(header, []byte(claims), platformKey())
		forged := signRaw(header, []byte(claims), otherKey())
		good := strings.NewReplacer("TOKEN", token, "FORGED", forged).Replace(body)
		o := r.by(http.MethodPost, "/lti/notices", "application/json", good)
		switch {
		case o.rec.Code == http.StatusAccepted && o.problem == nil:
		case o.problem != nil:
			if refused := o.check(t); !slices.Contains([]string{lti.CodeNoticeForm, lti.CodeTooLarge}, refused.Code) || len(r.notices) != 0 {
				t.Errorf("refused with %v, %d dealt with", refused, len(r.notices))
			}
		default:
			t.Errorf("got %d", o.rec.Code)
		}
		if len(r.notices) > 1 || len(r.notices) == 1 && !strings.Contains(good, token) {
			t.Errorf("dealt with %+v", r.notices)
		}
		for _, n := range r.notices {
			if n.ID == "" || len(n.ID) > 255 || n.Type == "" || len(n.Type) > 255 || n.DeploymentID != "1" && n.DeploymentID != "2" || len(n.OriginContexts) > 50 {
				t.Errorf("dealt with %+v", n)
			}
			for _, id := range append(n.OriginContexts, n.Context.ID, n.ID, n.Type) {
				if len(id) > 255 || strings.Contains(id, "\x00") {
					t.Errorf("dealt with the id %q", id)
				}
			}
		}
		for _, tr := range r.traces {
			if tr.Code != "" && !slices.Contains(lti.Codes(), tr.Code) || len(must(json.Marshal(tr))) > 64<<10 {
				t.Errorf("traced %+v", tr)
			}
		}
		if n := countSessions(t, r); n != 0 {
			t.Errorf("%d sessions", n)
		}
		dealt := len(r.notices)
		if r.by(http.MethodPost, "/lti/notices", "application/json", good); len(r.notices) != dealt {
			t.Error("dealt with a second time")
		}
	})
}
