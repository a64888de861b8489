package demolms

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
)

// Names of claims, roles and messages (LTI Core 1.3 section 5, annex A).
const (
	ltiClaim          = "https://purl.imsglobal.org/spec/lti/claim/"
	claimDeployment   = ltiClaim + "deployment_id"
	claimTarget       = ltiClaim + "target_link_uri"
	claimLIS          = ltiClaim + "lis"
	claimRoles        = ltiClaim + "roles"
	claimContext      = ltiClaim + "context"
	claimMessageType  = ltiClaim + "message_type"
	claimResourceLink = ltiClaim + "resource_link"
	claimExt          = ltiClaim + "ext"
	claimPresentation = ltiClaim + "launch_presentation"
	claimPlatform     = ltiClaim + "tool_platform"
	claimVersion      = ltiClaim + "version"
	claimCustom       = ltiClaim + "custom"
	claimOutcome      = "https://purl.imsglobal.org/spec/lti-bo/claim/basicoutcome"
	claimAGS          = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
	claimNRPS         = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
	claimDLSettings   = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
	claimDLItems      = "https://purl.imsglobal.org/spec/lti-dl/claim/content_items"
	claimDLData       = "https://purl.imsglobal.org/spec/lti-dl/claim/data"

	roleLearner    = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
	roleInstructor = "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"
	roleInstAdmin  = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"
	roleSysAdmin   = "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"
	roleTestUser   = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

	messageLaunch           = "LtiResourceLinkRequest"
	messageDeepLink         = "LtiDeepLinkingRequest"
	messageDeepLinkResponse = "LtiDeepLinkingResponse"

	ltiVersion    = "1.3.0"
	tokenLifetime = 60
)

// Launch says who launches what, for making id_tokens without a browser.
type Launch struct {
	// User is an id or a username.
	User string
	// Activity is the resource link; empty for deep linking.
	Activity string
	// DeepLink asks for a deep linking request into Course for ClientID.
	DeepLink         bool
	Course, ClientID string
	// Message asks for another message than these two.
	Message Message
	// ForUser is the person a Message is about, an id or a username.
	ForUser string
	// LineItem is the column of the gradebook a submission review begins from.
	LineItem int
	// Nonce is what the tool sent in its authentication request.
	Nonce string
	// Window launches into a window of its own, otherwise into a frame.
	Window bool
	// Faults disturb this launch; knobs turned by Set do not apply here.
	Faults []Knob
	// Mutate changes claims and header last, before signing; may be nil.
	Mutate func(claims, header map[string]any)
}

// SignLaunch makes the id_token of a resource link launch as the
// authentication endpoint would, for tests of a tool's checks. The mutate
// function may be nil.
func (l *LMS) SignLaunch(user, activity, nonce string, mutate func(claims, header map[string]any)) (string, error) {
	return l.Sign(Launch{User: user, Activity: activity, Nonce: nonce, Mutate: mutate})
}

// Sign makes any id_token this platform can make, good or bad.
func (l *LMS) Sign(launch Launch) (string, error) {
	sesskey, err := l.random(5)
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sign(launch, sesskey)
}

func (l *LMS) sign(launch Launch, sesskey string) (string, error) {
	claims, err := l.claims(launch, sesskey)
	if err != nil {
		return "", err
	}
	d := &draft{
		header: map[string]any{"typ": "JWT", "alg": "RS256", "kid": keyID(&l.key.PublicKey)},
		claims: claims, key: l.key, lms: l,
	}
	for _, k := range launch.Faults {
		info, err := knobInfo(k)
		if err != nil {
			return "", err
		}
		if info.alter == nil {
			continue
		}
		if info.alter(d); d.err != nil {
			return "", d.err
		}
	}
	if t, err := l.launchTool(launch); err == nil {
		signMigration(d.claims, t)
	}
	if launch.Mutate != nil {
		launch.Mutate(d.claims, d.header)
	}
	return d.compact()
}

// unpublishedKey is made at the first fault that needs it: making a key is
// slow and most runs never do.
func (l *LMS) unpublishedKey() (*rsa.PrivateKey, error) {
	if l.otherKey == nil {
		key, err := rsa.GenerateKey(rand.Reader, keyBits)
		if err != nil {
			return nil, fmt.Errorf("make a second key: %w", err)
		}
		l.otherKey = key
	}
	return l.otherKey, nil
}

// claims are those of Moodle 4.5; the caller holds the lock.
func (l *LMS) claims(launch Launch, sesskey string) (map[string]any, error) {
	u, err := l.user(launch.User)
	if err != nil {
		return nil, err
	}
	if launch, err = l.resolve(launch); err != nil {
		return nil, err
	}
	where, err := l.situation(u, launch)
	if err != nil {
		return nil, err
	}
	claims := l.commonClaims(where)
	claims["nonce"] = launch.Nonce
	switch {
	case launch.DeepLink:
		l.deepLinkClaims(claims, where, sesskey)
		return claims, nil
	case launch.Message == MessageDataPrivacy:
		return claims, l.privacyClaims(claims, where, launch)
	}
	l.resourceLinkClaims(claims, where)
	target := "iframe"
	if launch.Window {
		target = "window"
	}
	claims[claimPresentation] = map[string]any{
		"locale": cmp.Or(l.cfg.Site.Locale, "en"), "document_target": target,
		"return_url": l.cfg.Issuer + returnPath + "?" + url.Values{"course": {where.course.ID}, "instanceid": {where.activity.ID}, "sesskey": {sesskey}}.Encode(),
	}
	if launch.Message == MessageSubmissionReview {
		return claims, l.reviewClaims(claims, where, launch)
	}
	return claims, nil
}

// situation gathers what a resolved launch is about; the caller holds the
// lock.
func (l *LMS) situation(u User, launch Launch) (situation, error) {
	s := situation{user: u, linkHistory: slices.Contains(launch.Faults, LaunchLinkHistory)}
	var err error
	if s.tool, err = l.toolByClient(launch.ClientID); err != nil {
		return s, err
	}
	if launch.Message == MessageDataPrivacy {
		return s, nil
	}
	if s.course, err = l.course(launch.Course); err != nil {
		return s, err
	}
	if launch.Activity != "" {
		if s.activity, err = l.activity(launch.Activity); err != nil {
			return s, err
		}
	}
	s.contexts, s.links = l.contextHistory(s.course), l.linkHistory(s.activity)
	return s, nil
}

func (l *LMS) commonClaims(s situation) map[string]any {
	u, c, t := s.user, s.course, s.tool
	now := l.cfg.Now().Unix()
	contextType := "CourseSection"
	if c.ID == siteCourse {
		contextType = "Group"
	}
	claims := map[string]any{
		"iat": now, "exp": now + tokenLifetime, "iss": l.cfg.Issuer, "aud": t.ClientID, "sub": u.ID,
		claimDeployment: t.DeploymentID,
		claimLIS:        map[string]any{"person_sourcedid": u.IDNumber, "course_section_sourcedid": c.IDNumber},
		claimRoles:      launchRoles(u),
		claimContext:    map[string]any{"id": c.ID, "label": c.Label, "title": c.Title, "type": []string{contextType}},
		claimExt:        map[string]any{"user_username": u.Username, "lms": "moodle-2"},
		claimPlatform: map[string]any{
			"product_family_code": "moodle", "version": "2024100706", "guid": l.data.Site.GUID,
			"name": l.cfg.Site.ShortName, "description": l.cfg.Site.Name,
		},
		claimVersion: ltiVersion,
	}
	if !t.HideNames {
		claims["given_name"], claims["family_name"], claims["name"], claims["email"] = u.Given, u.Family, u.Name(), u.Email
	}
	if custom := expand(s, t.Custom); len(custom) > 0 {
		claims[claimCustom] = custom
	}
	if scopes := gradeScopes(t.Scopes); len(scopes) > 0 {
		claims[claimAGS] = map[string]any{"scope": scopes, "lineitems": l.lineItemsURL(c.ID, t)}
	}
	l.noticeClaim(claims, t)
	migrationClaim(claims, t, u)
	return claims
}

func (l *LMS) resourceLinkClaims(claims map[string]any, s situation) {
	a, t := s.activity, s.tool
	claims[claimMessageType] = messageLaunch
	claims[claimTarget] = cmp.Or(a.URL, t.LaunchURL)
	claims[claimResourceLink] = map[string]any{"title": a.Title, "description": a.Description, "id": a.ID}
	claims[claimOutcome] = l.outcome(a, s.user, t)
	custom := expand(s, t.Custom, a.Custom)
	if slices.Contains(t.Scopes, scopeMembers) {
		members := l.membersURL(a.Course, t)
		claims[claimNRPS] = map[string]any{"context_memberships_url": members, "service_versions": []string{"1.0", "2.0"}}
		custom["context_memberships_url"] = members
	}
	if len(custom) > 0 {
		claims[claimCustom] = custom
	}
	ags, ok := claims[claimAGS].(map[string]any)
	coupled := l.lineItems(func(i LineItem) bool { return i.Activity == a.ID })
	if ok && len(coupled) == 1 {
		ags["lineitem"] = l.lineItemURL(coupled[0])
	}
}

// outcome is the LTI 1.1 way to return a grade, which Moodle still offers.
func (l *LMS) outcome(a Activity, u User, t Tool) map[string]any {
	sum := sha256.Sum256([]byte(a.ID + "/" + u.ID + "/" + l.data.Site.GUID))
	return map[string]any{
		"lis_result_sourcedid": fmt.Sprintf(`{"data":{"instanceid":%q,"userid":%q,"typeid":%q,"launchid":%d},"hash":%q}`,
			a.ID, u.ID, t.DeploymentID, a.CMID, hex.EncodeToString(sum[:])),
		"lis_outcome_service_url": l.cfg.Issuer + "/mod/lti/service.php",
	}
}

func (l *LMS) deepLinkClaims(claims map[string]any, s situation, sesskey string) {
	claims[claimMessageType] = messageDeepLink
	claims[claimTarget] = s.tool.DeepLinkURL
	claims[claimPresentation] = map[string]any{"locale": cmp.Or(l.cfg.Site.Locale, "en")}
	claims[claimDLSettings] = map[string]any{
		"accept_types":                         []string{"ltiResourceLink"},
		"accept_presentation_document_targets": []string{"frame", "iframe", "window"},
		"accept_copy_advice":                   false, "accept_multiple": true, "accept_unsigned": false,
		"auto_create": false, "can_confirm": false,
		dlReturnURL: l.cfg.Issuer + deepLinkReturnPath + "?" + url.Values{"course": {s.course.ID}, "id": {s.tool.DeploymentID}, "sesskey": {sesskey}}.Encode(),
		"title":     s.tool.Name, "text": "",
	}
}

// launchRoles are the roles Moodle sends: full addresses, and an
// administrator is an instructor as well.
func launchRoles(u User) []string {
	switch u.Role {
	case Admin:
		return []string{roleInstAdmin, roleInstructor, roleSysAdmin}
	case Teacher:
		return []string{roleInstructor}
	case Learner:
		return []string{roleLearner}
	default:
		return []string{}
	}
}
