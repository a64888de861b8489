package demolms

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Message is a kind of launch besides the resource link and content selection.
type Message string

// The other messages.
const (
	// MessageSubmissionReview opens what a learner handed in, from the gradebook. It
	// needs Launch.LineItem and Launch.ForUser.
	MessageSubmissionReview Message = "LtiSubmissionReviewRequest"
	// MessageDataPrivacy opens what the tool holds about a person, for an
	// administrator. It needs Launch.ClientID and Launch.ForUser.
	MessageDataPrivacy Message = "DataPrivacyLaunchRequest"

	claimForUser   = ltiClaim + "for_user"
	claimMigration = ltiClaim + "lti1p1"
	migrationSign  = "oauth_consumer_key_sign"
)

// resolve completes a launch with what follows from its line item or its
// activity; the caller holds the lock.
func (l *LMS) resolve(launch Launch) (Launch, error) {
	if launch.DeepLink || launch.Message == MessageDataPrivacy {
		launch.Activity = ""
		return launch, nil
	}
	if launch.Message == MessageSubmissionReview {
		i, err := l.lineItem(launch.LineItem)
		if err != nil {
			return launch, err
		}
		launch.Activity = cmp.Or(i.Activity, launch.Activity)
	}
	a, err := l.activity(launch.Activity)
	if err != nil {
		return launch, err
	}
	launch.Course, launch.ClientID = a.Course, a.ClientID
	return launch, nil
}

// launchTool is the tool of a launch; the caller holds the lock.
func (l *LMS) launchTool(launch Launch) (Tool, error) {
	launch, err := l.resolve(launch)
	if err != nil {
		return Tool{}, err
	}
	return l.toolByClient(launch.ClientID)
}

// target is the target link of a resolved launch; the caller holds the lock.
func (l *LMS) target(launch Launch, t Tool) string {
	if launch.DeepLink {
		return t.DeepLinkURL
	}
	address := t.LaunchURL
	if a, err := l.activity(launch.Activity); err == nil {
		address = cmp.Or(a.URL, address)
	}
	if i, err := l.lineItem(launch.LineItem); err == nil && launch.Message == MessageSubmissionReview && i.Review != nil {
		address = cmp.Or(i.Review.URL, address)
	}
	return address
}

// reviewClaims turn the claims of a resource link into those of a submission
// review. Like Moodle they say of the learner no more than the id.
func (l *LMS) reviewClaims(claims map[string]any, s situation, launch Launch) error {
	forUser, err := l.user(launch.ForUser)
	if err != nil {
		return err
	}
	i, err := l.lineItem(launch.LineItem)
	if err != nil {
		return err
	}
	claims[claimMessageType] = string(MessageSubmissionReview)
	claims[claimTarget] = l.target(launch, s.tool)
	claims[claimForUser] = map[string]any{"user_id": forUser.ID}
	if i.Review != nil && len(i.Review.Custom) > 0 {
		custom, ok := claims[claimCustom].(map[string]string)
		if !ok {
			custom = map[string]string{}
		}
		maps.Copy(custom, expand(s, i.Review.Custom))
		claims[claimCustom] = custom
	}
	if ags, ok := claims[claimAGS].(map[string]any); ok {
		ags["lineitem"] = l.lineItemURL(*i)
	}
	return nil
}

// privacyClaims are those of a data privacy launch: no context, no link and no
// grades, and the person it is about.
func (l *LMS) privacyClaims(claims map[string]any, s situation, launch Launch) error {
	forUser, err := l.user(launch.ForUser)
	if err != nil {
		return err
	}
	for _, name := range []string{claimContext, claimAGS, claimLIS, claimNoticeService} {
		delete(claims, name)
	}
	claims[claimMessageType] = string(MessageDataPrivacy)
	claims[claimTarget] = s.tool.LaunchURL
	claims[claimPresentation] = map[string]any{"locale": cmp.Or(l.cfg.Site.Locale, "en"), "document_target": "iframe"}
	// Without a context nobody has a role in one.
	claims[claimRoles] = slices.DeleteFunc(launchRoles(s.user), func(r string) bool { return strings.Contains(r, "/membership#") })
	person := map[string]any{"user_id": forUser.ID, "person_sourcedid": forUser.IDNumber}
	if !s.tool.HideNames {
		person["name"], person["given_name"], person["family_name"], person["email"] = forUser.Name(), forUser.Given, forUser.Family, forUser.Email
	}
	claims[claimForUser] = person
	return nil
}

// migrationClaim names the LTI 1.1 key a tool was used with before, and the
// person's id of that time when it was another one (Migration 1.3). The
// signature is added when nonce and expiry are final.
func migrationClaim(claims map[string]any, t Tool, u User) {
	if t.LTI11Key == "" {
		return
	}
	m := map[string]any{"oauth_consumer_key": t.LTI11Key}
	if old := t.LTI11Users[u.ID]; old != "" {
		m["user_id"] = old
	}
	claims[claimMigration] = m
}

// signMigration signs the LTI 1.1 key, unless a knob has done so badly.
func signMigration(claims map[string]any, t Tool) {
	m, ok := claims[claimMigration].(map[string]any)
	if !ok || m[migrationSign] != nil {
		return
	}
	parts := []string{
		t.LTI11Key, t.DeploymentID, text(claims, "iss"), t.ClientID, fmt.Sprint(claims["exp"]), fmt.Sprint(claims["nonce"]),
	}
	mac := hmac.New(sha256.New, []byte(t.LTI11Secret))
	mac.Write([]byte(strings.Join(parts, "&")))
	m[migrationSign] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// reviewOf reads the line item and the learner of a review address.
func (l *LMS) reviewOf(r *http.Request) (Launch, Activity, error) {
	id, err := strconv.Atoi(r.PathValue("item"))
	if err != nil {
		return Launch{}, Activity{}, fmt.Errorf("line item %q: %w", r.PathValue("item"), ErrNotFound)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	launch, err := l.resolve(Launch{Message: MessageSubmissionReview, LineItem: id, ForUser: r.PathValue("user")})
	if err != nil {
		return Launch{}, Activity{}, err
	}
	a, err := l.activity(launch.Activity)
	if err != nil {
		return Launch{}, Activity{}, err
	}
	_, err = l.user(launch.ForUser)
	return launch, a, err
}

// serveReview is the page of a teacher who looks at a submission.
func (l *LMS) serveReview(w http.ResponseWriter, r *http.Request, _ *session) {
	launch, a, err := l.reviewOf(r)
	l.mu.Lock()
	c, errCourse := l.course(a.Course)
	l.mu.Unlock()
	if err != nil || errCourse != nil {
		l.errorPage(w, r, http.StatusNotFound, "There is nothing to review.")
		return
	}
	l.renderFrame(w, r, activityData{Activity: a, Course: c, Teaches: true},
		"/launch/review/"+strconv.Itoa(launch.LineItem)+"/"+launch.ForUser)
}

func (l *LMS) serveReviewLaunch(w http.ResponseWriter, r *http.Request, s *session) {
	launch, _, err := l.reviewOf(r)
	if err != nil {
		l.errorPage(w, r, http.StatusNotFound, "There is nothing to review.")
		return
	}
	launch.User, launch.Window = s.user, r.URL.Query().Get("window") != ""
	l.initiate(w, r, s, launch)
}

// privacyData is the administrator's choice of a tool and a person.
type privacyData struct {
	Tools []Tool
	Users []User
	// Type and User are chosen; Frame is the launch then.
	Type, User, Frame string
}

func (l *LMS) servePrivacy(w http.ResponseWriter, r *http.Request, _ *session) {
	q := r.URL.Query()
	d := privacyData{Tools: l.Tools(), Users: l.Users(), Type: q.Get("type"), User: q.Get("user")}
	if d.Type != "" && d.User != "" {
		d.Frame = "/launch/privacy/" + url.PathEscape(d.Type) + "/" + url.PathEscape(d.User)
		if f := q.Get("fault"); f != "" {
			d.Frame += "?fault=" + url.QueryEscape(f)
		}
	}
	l.render(w, r, "privacy", view{Title: "Data privacy", Storage: l.storageView(r), Data: d})
}

func (l *LMS) servePrivacyLaunch(w http.ResponseWriter, r *http.Request, s *session) {
	l.mu.Lock()
	t, err := l.toolByType(r.PathValue("type"))
	_, errUser := l.user(r.PathValue("user"))
	l.mu.Unlock()
	if err != nil || errUser != nil {
		l.errorPage(w, r, http.StatusNotFound, "There is no such tool or person.")
		return
	}
	l.initiate(w, r, s, Launch{User: s.user, Message: MessageDataPrivacy, ClientID: t.ClientID, ForUser: r.PathValue("user")})
}
