package lti

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// checkMessage checks what the message says (Core 1.3, section 5.3) and fills l.
func (t *Tool) checkMessage(ctx context.Context, in received, l *Launch, tr *Trace) error {
	c, reg := in.token.claims, in.registration
	if err := checkVersion(c); err != nil {
		return err
	}
	var err error
	if l.DeploymentID, err = t.checkDeployment(ctx, in); err != nil {
		return err
	}
	if l.MessageType, err = checkMessageType(c); err != nil {
		return err
	}
	if l.Roles, err = checkRoles(c); err != nil {
		return err
	}
	if l.User.Subject, err = checkSubject(c); err != nil {
		return err
	}
	if l.TargetLinkURI, err = t.checkTarget(c, l.MessageType); err != nil {
		return err
	}
	if err := readMessage(c, reg, l); err != nil {
		return err
	}
	if tr.Ignored = readOptional(c, reg, l); len(tr.Ignored) > 0 {
		t.deps.Logger.InfoContext(ctx, "optional claims of a launch ignored", "registration", reg.ID, "claims", tr.Ignored)
	}
	return t.readMigration(ctx, in, l, tr)
}

// readMessage reads what only one type of message has.
func readMessage(c object, reg Registration, l *Launch) (err error) {
	switch l.MessageType {
	case MessageDeepLinking:
		l.DeepLinking, err = readDeepLinking(c, reg)
		return err
	case MessageDataPrivacy: // a context or resource link beside it is not looked at
		l.ForUser, err = readForUser(c, l, false)
		return err
	case MessageSubmissionReview:
		if l.ForUser, err = readForUser(c, l, true); err != nil {
			return err
		}
	}
	l.ResourceLink, err = readResourceLink(c)
	return err
}

// readForUser reads whom a review or a privacy request is about, and lets nobody but
// teachers and administrators ask about others.
func readForUser(c object, l *Launch, required bool) (string, error) {
	user, _ := c.object(claimForUser)
	id := user.id("user_id")
	switch {
	case id == "" && required:
		return "", refuse(CodeForUserMissing, "for_user.user_id", "")
	case id != "" && id != l.User.Subject && !l.IsTeacher() && !l.IsAdmin():
		return "", refuse(CodeForUserForeign, "", "")
	}
	return id, nil
}

func checkRoles(c object) ([]string, error) {
	roles, is := c.texts(claimRoles)
	switch is {
	case absent:
		return nil, refuse(CodeRolesMissing, claimRoles, "")
	case wrongType:
		return nil, refuse(CodeClaimType, "roles as a list", "")
	case present:
	}
	return roles, nil
}

func checkVersion(c object) error {
	version, is := c.text(claimVersion)
	switch {
	case is == present && version == ltiVersion:
		return nil
	case is == absent && c[claimMessageType] == nil && c[claimDeployment] == nil:
		return refuse(CodeNotLTI, claimVersion, "")
	case is == absent:
		return refuse(CodeVersionMissing, ltiVersion, "")
	}
	return refuse(CodeVersionMismatch, ltiVersion, version)
}

// checkDeployment returns the deployment id if it is approved. One that is seen for the
// first time is noted; where the issuer serves one customer only that approves it, and
// where anybody can be a customer an administrator has to.
func (t *Tool) checkDeployment(ctx context.Context, in received) (string, error) {
	id, is := in.token.claims.text(claimDeployment)
	switch {
	case is == wrongType:
		return "", refuse(CodeClaimType, "deployment_id as text", "")
	case id == "":
		return "", refuse(CodeDeploymentMissing, claimDeployment, "")
	case utf8.RuneCountInString(id) > maxIDLength || len(id) > 4*maxIDLength:
		return "", refuse(CodeDeploymentLength, fmt.Sprintf("at most %d characters", maxIDLength), "")
	case strings.ContainsFunc(id, isControl):
		return "", refuse(CodeDeploymentLength, "printable characters", "")
	case !t.secret.allows(in.state, id):
		return "", refuse(CodeDeploymentMismatch, "the deployment of the login", id)
	case slices.Contains(in.registration.Deployments, id):
		return id, nil
	}
	approved, err := t.deps.Store.SeeDeployment(ctx, in.registration, id, in.registration.approvesDeployments())
	if err != nil {
		return "", fmt.Errorf("note the deployment: %w", err)
	}
	if !approved {
		return "", deploymentUnknown(in.registration, id)
	}
	return id, nil
}

// deploymentUnknown names the command by which an operator lets the deployment in. The id
// comes from outside and the command is made to be copied, so it is quoted for the shell.
func deploymentUnknown(reg Registration, id string) error {
	e := refuse(CodeDeploymentUnknown, "", id)
	if show(id) == id { // else it is too long or not printable: not to be copied
		e.Advice += " sealsmith platforms approve " + reg.ID + " --deployment=" + shellQuoted(id)
	}
	return e
}

func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// offered are the message types that are accepted.
var offered = []string{MessageResourceLink, MessageDeepLinking, MessageSubmissionReview, MessageDataPrivacy}

// notOffered are message types of the LTI family that this package knows and leaves to others.
var notOffered = []string{
	"LtiStartProctoring", "LtiStartAssessment", "LtiEndAssessment", "LtiEulaRequest",
	"LtiAssetProcessorSettingsRequest", "LtiReportReviewRequest", "LtiContextLaunchRequest",
}

func checkMessageType(c object) (string, error) {
	kind, is := c.text(claimMessageType)
	switch {
	case is == wrongType:
		return "", refuse(CodeClaimType, "message_type as text", "")
	case kind == "":
		return "", refuse(CodeMessageTypeMissing, claimMessageType, "")
	case slices.Contains(offered, kind):
		return kind, nil
	case slices.Contains(notOffered, kind):
		return "", refuse(CodeMessageTypeNotOffered, strings.Join(offered, ", "), kind)
	}
	return "", refuse(CodeMessageTypeUnknown, strings.Join(offered, ", "), kind)
}

// checkSubject requires a user: the anonymous launches that Core 5.3.6.1 allows have no
// use for a tool that keeps what a person has done.
func checkSubject(c object) (string, error) {
	sub, is := c.text("sub")
	switch {
	case is == wrongType:
		return "", refuse(CodeTokenMalformed, "sub as text", "")
	case sub == "":
		return "", refuse(CodeSubjectMissing, "sub", "")
	case len(sub) > maxIDLength:
		return "", refuse(CodeSubjectLength, fmt.Sprintf("at most %d characters", maxIDLength), "")
	case strings.ContainsFunc(sub, isControl) || !utf8.ValidString(sub):
		return "", refuse(CodeSubjectCharacters, "", "")
	}
	return sub, nil
}

// checkTarget requires that the message was meant for this origin. The login's
// target_link_uri is unsigned and plays no part. Deep linking may come without.
func (t *Tool) checkTarget(c object, kind string) (string, error) {
	target, is := c.text(claimTarget)
	if target == "" && is != wrongType {
		if kind == MessageDeepLinking || kind == MessageDataPrivacy {
			return "", nil
		}
		return "", refuse(CodeTargetMissing, claimTarget, "")
	}
	u, err := url.Parse(target)
	if is == wrongType || err != nil || u.User != nil || origin(u) != origin(t.deps.PublicURL) {
		return "", refuse(CodeTargetForeign, origin(t.deps.PublicURL), target)
	}
	return target, nil
}

// origin returns scheme, host and port in one spelling.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

func readResourceLink(c object) (ResourceLink, error) {
	link, is := c.object(claimResourceLink)
	if is != present {
		return ResourceLink{}, refuse(CodeResourceLinkMissing, claimResourceLink, "")
	}
	id, is := link.text("id")
	switch {
	case is != present || id == "":
		return ResourceLink{}, refuse(CodeResourceLinkMissing, "resource_link.id", "")
	case utf8.RuneCountInString(id) > maxIDLength:
		return ResourceLink{}, refuse(CodeResourceLinkLength, fmt.Sprintf("at most %d characters", maxIDLength), "")
	case strings.ContainsFunc(id, isControl):
		return ResourceLink{}, refuse(CodeResourceLinkLength, "printable characters", "")
	}
	title, _ := link.text("title")
	description, _ := link.text("description")
	return ResourceLink{ID: id, Title: plain(title, maxTitle), Description: plain(description, maxDescription)}, nil
}

// readDeepLinking reads the settings of Deep Linking 2.0, section 4.4.1. What is returned
// is signed as this tool, so it goes to hosts of the platform only.
func readDeepLinking(c object, reg Registration) (*DeepLinkingSettings, error) {
	o, is := c.object(claimDLSettings)
	if is != present {
		return nil, refuse(CodeDeepLinkingSettings, claimDLSettings, "")
	}
	s := &DeepLinkingSettings{AcceptMultiple: o.truth("accept_multiple"), AcceptLineItem: o.truth("accept_lineitem")}
	s.ReturnURL, _ = o.text("deep_link_return_url")
	platform, _ := c.object(claimPlatform)
	platformURL, _ := platform.text("url")
	if reg.platformURL("the return URL", s.ReturnURL, platformURL) == "" {
		return nil, refuse(CodeDeepLinkingReturnURL, "an https address of the platform", webOrigin(s.ReturnURL))
	}
	if s.AcceptTypes, is = o.texts("accept_types"); is != present {
		return nil, refuse(CodeDeepLinkingSettings, "accept_types", "")
	}
	if raw, ok := o.raw("data"); ok {
		s.Data = new(string(raw))
	}
	title, _ := o.text("title")
	text, _ := o.text("text")
	s.Title, s.Text = plain(title, maxTitle), plain(text, maxDescription)
	return s, nil
}

// platformURL returns address if it can be used and leads to a host of the platform, and
// nothing otherwise. also is an address in the same signed message.
func (r Registration) platformURL(label, address string, also ...string) string {
	if address == "" || validateURL(label, address) != nil {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil || !r.ownsHost(u.Hostname(), also...) {
		return ""
	}
	return address
}
