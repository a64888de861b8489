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
func (t *Tool) checkMessage(ctx context.Context, c object, st LoginState, l *Launch) error {
	if err := checkVersion(c); err != nil {
		return err
	}
	var err error
	if l.DeploymentID, err = t.checkDeployment(ctx, c, st); err != nil {
		return err
	}
	if l.MessageType, err = checkMessageType(c); err != nil {
		return err
	}
	roles, is := c.texts(claimRoles)
	switch is {
	case absent:
		return refuse(CodeRolesMissing, claimRoles, "")
	case wrongType:
		return refuse(CodeClaimType, "roles as a list", "")
	case present:
	}
	l.Roles = roles
	if l.User.Subject, err = checkSubject(c); err != nil {
		return err
	}
	if l.TargetLinkURI, err = t.checkTarget(c, l.MessageType); err != nil {
		return err
	}
	if l.MessageType == MessageDeepLinking {
		l.DeepLinking, err = readDeepLinking(c)
	} else {
		l.ResourceLink, err = readResourceLink(c)
	}
	if err != nil {
		return err
	}
	if ignored := readOptional(c, st.Registration, l); len(ignored) > 0 {
		t.deps.Logger.InfoContext(ctx, "optional claims of a launch ignored",
			"registration", st.Registration.ID, "claims", ignored)
	}
	return nil
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

// checkDeployment returns the deployment id if it is registered. Ids are never made
// known by a launch: under a client id shared by many customers of one platform anybody
// could bring their own.
func (t *Tool) checkDeployment(ctx context.Context, c object, st LoginState) (string, error) {
	id, is := c.text(claimDeployment)
	switch {
	case is == wrongType:
		return "", refuse(CodeClaimType, "deployment_id as text", "")
	case id == "":
		return "", refuse(CodeDeploymentMissing, claimDeployment, "")
	case utf8.RuneCountInString(id) > maxIDLength:
		return "", refuse(CodeDeploymentLength, fmt.Sprintf("at most %d characters", maxIDLength), "")
	case st.DeploymentHint != "" && id != st.DeploymentHint:
		return "", refuse(CodeDeploymentMismatch, st.DeploymentHint, id)
	}
	known, err := t.deps.Store.HasDeployment(ctx, st.Registration, id)
	if err != nil {
		return "", fmt.Errorf("find the deployment: %w", err)
	}
	if !known {
		return "", deploymentUnknown(st.Registration, id)
	}
	return id, nil
}

// deploymentUnknown names the command by which an operator lets the deployment in. It
// repeats the registration as it is, because adding it again updates it. The id comes from
// outside and the command is made to be copied, so everything is quoted for the shell.
func deploymentUnknown(reg Registration, id string) error {
	e := refuse(CodeDeploymentUnknown, "", id)
	if show(id) != id { // too long or not printable: not to be copied
		return e
	}
	var command strings.Builder
	command.WriteString("sealsmith platforms add")
	for _, f := range []struct{ flag, value string }{
		{"name", reg.Name},
		{"issuer", reg.Issuer},
		{"client-id", reg.ClientID},
		{"auth-url", reg.AuthURL},
		{"token-url", reg.TokenURL},
		{"jwks-url", reg.JWKSURL},
		{"audience", reg.TokenAudience},
		{"deployment", id},
	} {
		if f.value != "" {
			command.WriteString(" --" + f.flag + "=" + shellQuoted(f.value))
		}
	}
	e.Advice += " An operator of this tool can allow it: " + command.String()
	return e
}

func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// notOffered are message types of the LTI family that this package knows and leaves to others.
var notOffered = []string{
	"LtiSubmissionReviewRequest", "LtiStartProctoring", "LtiStartAssessment", "LtiEndAssessment",
	"LtiEulaRequest", "DataPrivacyLaunchRequest", "LtiAssetProcessorSettingsRequest", "LtiReportReviewRequest",
}

func checkMessageType(c object) (string, error) {
	kind, is := c.text(claimMessageType)
	switch {
	case is == wrongType:
		return "", refuse(CodeClaimType, "message_type as text", "")
	case kind == "":
		return "", refuse(CodeMessageTypeMissing, claimMessageType, "")
	case kind == MessageResourceLink || kind == MessageDeepLinking:
		return kind, nil
	case slices.Contains(notOffered, kind):
		return "", refuse(CodeMessageTypeNotOffered, MessageResourceLink+" or "+MessageDeepLinking, kind)
	}
	return "", refuse(CodeMessageTypeUnknown, MessageResourceLink+" or "+MessageDeepLinking, kind)
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
		if kind == MessageDeepLinking {
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
	}
	title, _ := link.text("title")
	description, _ := link.text("description")
	return ResourceLink{ID: id, Title: plain(title, maxTitle), Description: plain(description, maxDescription)}, nil
}

// readDeepLinking reads the settings of Deep Linking 2.0, section 4.4.1. The return URL
// may be on any https host: clouds answer from other hosts than the registered ones, the
// message that names it is signed, and what is sent there is meant for its sender only.
func readDeepLinking(c object) (*DeepLinkingSettings, error) {
	o, is := c.object(claimDLSettings)
	if is != present {
		return nil, refuse(CodeDeepLinkingSettings, claimDLSettings, "")
	}
	s := &DeepLinkingSettings{AcceptMultiple: o.truth("accept_multiple"), AcceptLineItem: o.truth("accept_lineitem")}
	s.ReturnURL, _ = o.text("deep_link_return_url")
	if validateURL("the return URL", s.ReturnURL) != nil {
		return nil, refuse(CodeDeepLinkingReturnURL, "an https address", "")
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
