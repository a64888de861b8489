package demolms_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

const (
	forUser   = claimNS + "for_user"
	migration = claimNS + "lti1p1"
	agsClaim  = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
)

// reviewed places an activity whose line item announces submission review.
func (b *bench) reviewed() (demolms.Activity, demolms.LineItem) {
	b.t.Helper()
	a, err := b.Place("2", client, demolms.ContentItem{Type: "ltiResourceLink", Title: "Record", LineItem: &demolms.ItemLineItem{
		ScoreMaximum: 100, SubmissionReview: &demolms.SubmissionReview{URL: b.tool.URL + "/review", Custom: map[string]string{"rev": "1", "who": "$User.id"}},
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	items := b.LineItems("2")
	return a, items[len(items)-1]
}

func TestSubmissionReview(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, item := b.reviewed()
	if err := b.SetGrade(item.ID, "maija", new(80.0)); err != nil {
		t.Fatal(err)
	}
	address := "/review/" + strconv.Itoa(item.ID) + "/7"
	b.get("/as/maija")
	if got := b.get("/launch" + address).Status; got != http.StatusForbidden {
		t.Errorf("learner: %d", got)
	}
	b.get("/as/teacher")
	if page := b.get("/course/2/gradebook"); !strings.Contains(page.Body, `href="`+address+`"`) || strings.Contains(page.Body, address[:len(address)-1]+"8") {
		t.Errorf("gradebook:\n%s", page.Body)
	}
	if page := b.get(address); !strings.Contains(page.Body, `src="/launch`+address+`"`) {
		t.Errorf("page:\n%s", page.Body)
	}
	_, initiation := b.begin("/launch" + address)
	if initiation.Get("target_link_uri") != b.tool.URL+"/review" {
		t.Errorf("initiation %v", initiation)
	}
	_, response := b.form(b.auth(b.authRequest(initiation)))
	c := b.verified(response.Get("id_token"))
	lineItem, err := b.LineItemURL(item.ID)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, _ := c[agsClaim].(map[string]any)
	custom, _ := c[claimNS+"custom"].(map[string]any)
	link, _ := c[claimNS+"resource_link"].(map[string]any)
	if c["sub"] != "3" || c[claimNS+"message_type"] != "LtiSubmissionReviewRequest" || c[claimNS+"target_link_uri"] != b.tool.URL+"/review" ||
		!equalJSON(c[forUser], map[string]string{"user_id": "7"}) || endpoint["lineitem"] != lineItem || custom["rev"] != "1" || custom["who"] != "3" || link["id"] != a.ID {
		t.Errorf("claims %v", c)
	}
	for _, wrong := range []string{"/review/x/7", "/review/99/7", "/review/" + strconv.Itoa(item.ID) + "/99"} {
		for _, prefix := range []string{"", "/launch"} {
			if got := b.get(prefix + wrong).Status; got != http.StatusNotFound {
				t.Errorf("%s: %d", prefix+wrong, got)
			}
		}
	}
}

func TestDataPrivacy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get("/as/teacher")
	if got := b.get("/launch/privacy/1/7").Status; got != http.StatusForbidden {
		t.Errorf("teacher: %d", got)
	}
	b.get("/as/admin")
	if page := b.get("/admin/privacy?type=1&user=7&fault=token-no-for-user"); !strings.Contains(page.Body, `src="/launch/privacy/1/7?fault=token-no-for-user"`) {
		t.Errorf("page:\n%s", page.Body)
	}
	_, response := b.launch("/launch/privacy/1/7")
	c := b.verified(response.Get("id_token"))
	want := map[string]any{
		"user_id": "7", "person_sourcedid": "STU-1000", "name": "Maija Meikäläinen", "given_name": "Maija", "family_name": "Meikäläinen", "email": "maija@polder.example",
	}
	if diff := cmp.Diff(want, c[forUser]); diff != "" {
		t.Errorf("for_user (-want +got):\n%s", diff)
	}
	if c["sub"] != "2" || c[claimNS+"message_type"] != "DataPrivacyLaunchRequest" || c[claimNS+"target_link_uri"] != b.tool.URL+"/launch" ||
		c[claimNS+"context"] != nil || c[claimNS+"resource_link"] != nil || c[agsClaim] != nil || strings.Contains(mustJSON(t, c[claimNS+"roles"]), "membership") {
		t.Errorf("claims %v", c)
	}
	for _, wrong := range []string{"/launch/privacy/9/7", "/launch/privacy/1/99"} {
		if got := b.get(wrong).Status; got != http.StatusNotFound {
			t.Errorf("%s: %d", wrong, got)
		}
	}
	for _, wrong := range []demolms.Launch{
		{User: "admin", Message: demolms.MessageDataPrivacy, ClientID: client, ForUser: "nobody"},
		{User: "admin", Message: demolms.MessageDataPrivacy, ClientID: "nobody", ForUser: "maija"},
		{User: "admin", Message: demolms.MessageSubmissionReview, LineItem: 99, ForUser: "maija"},
	} {
		if _, err := b.Sign(wrong); err == nil {
			t.Errorf("signed %+v", wrong)
		}
	}
}

func TestMigrationClaim(t *testing.T) {
	t.Parallel()
	b := setupWith(t, func(c *demolms.Config) {
		c.Tools[0].LTI11Key, c.Tools[0].LTI11Secret = "old-key", "old-secret"
		c.Tools[0].LTI11Users = map[string]string{"7": "legacy-7"}
	})
	a, _ := b.place()
	for user, old := range map[string]any{"maija": "legacy-7", "jan": nil} {
		token, err := b.SignLaunch(user, a.ID, "n-1", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := payload(t, token)
		m, _ := c[migration].(map[string]any)
		exp, _ := c["exp"].(float64)
		mac := hmac.New(sha256.New, []byte("old-secret"))
		mac.Write([]byte("old-key&1&" + b.Issuer() + "&" + client + "&" + strconv.FormatInt(int64(exp), 10) + "&n-1"))
		if m["oauth_consumer_key"] != "old-key" || m["user_id"] != old || m["oauth_consumer_key_sign"] != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			t.Errorf("%s: %v", user, m)
		}
	}
	token, err := b.Sign(demolms.Launch{User: "maija", Activity: a.ID, Faults: []demolms.Knob{demolms.TokenLTI11Signature}})
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := payload(t, token)[migration].(map[string]any); m["oauth_consumer_key"] != "old-key" || m["user_id"] != "somebody-else" {
		t.Errorf("wrong signature: %v", m)
	}
}

// message checks the claims of one of the other messages under a fault.
func message(kind demolms.Message, check func(c map[string]any) bool) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		_, item := b.reviewed()
		token, err := b.Sign(demolms.Launch{User: "teacher", Message: kind, ClientID: client, LineItem: item.ID, ForUser: "jan", Faults: []demolms.Knob{k}})
		if err != nil {
			t.Fatal(err)
		}
		if c := b.verified(token); c[claimNS+"message_type"] != string(kind) || !check(c) {
			t.Errorf("claims %v", c)
		}
	}
}

func messageTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.TokenNoForUser: message(demolms.MessageSubmissionReview, func(c map[string]any) bool { return c[forUser] == nil }),
		demolms.TokenReviewByLearner: message(demolms.MessageSubmissionReview, func(c map[string]any) bool {
			return strings.Contains(mustRoles(c), "#Learner") && !strings.Contains(mustRoles(c), "#Instructor")
		}),
		demolms.TokenPrivacyContext: message(demolms.MessageDataPrivacy, func(c map[string]any) bool {
			return c[claimNS+"context"] != nil && c[claimNS+"resource_link"] != nil && c[forUser] != nil
		}),
		demolms.TokenLTI11Signature: claim(migration, map[string]string{
			"oauth_consumer_key": "old-key", "user_id": "somebody-else", "oauth_consumer_key_sign": "c2lnbmVkIGJ5IG5vYm9keQ==",
		}),
	}
}

func mustRoles(c map[string]any) string {
	var out strings.Builder
	roles, _ := c[claimNS+"roles"].([]any)
	for _, r := range roles {
		s, _ := r.(string)
		out.WriteString(s + " ")
	}
	return out.String()
}
