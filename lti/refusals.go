package lti

import "net/http"

// Codes of CheckError, in the order of the checks. They are stable: pages, translations
// and log searches use them.
const (
	// The request.
	CodeMethod             = "method"
	CodeLaunchByGET        = "launch-by-get"
	CodeContentType        = "content-type"
	CodeTooLarge           = "too-large"
	CodeForm               = "form-malformed"
	CodeDuplicateParameter = "parameter-duplicate"
	CodeLTI11              = "lti-1-1"

	// The login.
	CodeIssuerParameter   = "login-no-issuer"
	CodeLoginHint         = "login-no-hint"
	CodePlatformUnknown   = "platform-unknown"
	CodeLoginKey          = "login-key"
	CodePlatformPending   = "platform-pending"
	CodePlatformPaused    = "platform-paused"
	CodePlatformAmbiguous = "platform-ambiguous"

	// The answer of the platform and its state.
	CodePlatformError  = "platform-error"
	CodeTokenMissing   = "id-token-missing"
	CodeStateMissing   = "state-missing"
	CodeStateUnknown   = "state-unknown"
	CodeStateExpired   = "state-expired"
	CodeCookieLost     = "cookie-lost"
	CodeStateNotBound  = "state-not-bound"
	CodeReplay         = "replay"
	CodeTokenForm      = "token-not-compact"
	CodeTokenMalformed = "token-malformed"
	CodeTokenDuplicate = "token-duplicate-member"

	// Header, key and signature.
	CodeAlg             = "alg-not-allowed"
	CodeHeaderCritical  = "header-critical"
	CodeHeaderKey       = "header-key"
	CodeHeaderType      = "header-type"
	CodeKIDMissing      = "kid-missing"
	CodeKIDUnknown      = "kid-unknown"
	CodeKeyWeak         = "key-weak"
	CodeKeysUnavailable = "keys-unavailable"
	CodeSignature       = "signature"

	// Claims of OpenID Connect.
	CodeIssuerMismatch    = "issuer-mismatch"
	CodeIssuerSlash       = "issuer-slash"
	CodeAudienceMismatch  = "audience-mismatch"
	CodeAudienceUntrusted = "audience-untrusted"
	CodeAZPMissing        = "azp-missing"
	CodeAZPMismatch       = "azp-mismatch"
	CodeExpMissing        = "exp-missing"
	CodeExpired           = "expired"
	CodeLifetime          = "lifetime"
	CodeIATMissing        = "iat-missing"
	CodeIATFuture         = "iat-future"
	CodeIATOld            = "iat-old"
	CodeNotBefore         = "nbf-future"
	CodeNonceMissing      = "nonce-missing"
	CodeNonceMismatch     = "nonce-mismatch"
	CodeClaimType         = "claim-type"

	// Claims of LTI.
	CodeNotLTI                = "not-lti"
	CodeVersionMissing        = "version-missing"
	CodeVersionMismatch       = "version-mismatch"
	CodeDeploymentMissing     = "deployment-missing"
	CodeDeploymentLength      = "deployment-length"
	CodeDeploymentMismatch    = "deployment-mismatch"
	CodeDeploymentUnknown     = "deployment-unknown"
	CodeMessageTypeMissing    = "message-type-missing"
	CodeMessageTypeUnknown    = "message-type-unknown"
	CodeMessageTypeNotOffered = "message-type-not-offered"
	CodeForUserMissing        = "for-user-missing"
	CodeForUserForeign        = "for-user-foreign"
	CodeRolesMissing          = "roles-missing"
	CodeSubjectMissing        = "subject-missing"
	CodeSubjectLength         = "subject-length"
	CodeSubjectCharacters     = "subject-characters"
	CodeTargetMissing         = "target-missing"
	CodeTargetForeign         = "target-foreign"
	CodeResourceLinkMissing   = "resource-link-missing"
	CodeResourceLinkLength    = "resource-link-length"
	CodeDeepLinkingSettings   = "deep-linking-settings-missing"
	CodeDeepLinkingReturnURL  = "deep-linking-return-url"

	// Notices.
	CodeNoticeForm  = "notice-form"
	CodeNoticeClaim = "notice-claim"

	// The deep linking response.
	CodeNotDeepLinking = "not-deep-linking"
	CodeItemInvalid    = "item-invalid"
	CodeItemType       = "item-type-not-accepted"
	CodeItemCount      = "item-count"

	// Dynamic registration: the invitation, what the platform says of itself, its reply.
	CodeInvitationUnknown      = "invitation-unknown"
	CodeInvitationUsed         = "invitation-used"
	CodeInvitationExpired      = "invitation-expired"
	CodeInvitationLost         = "invitation-lost"
	CodeConfigurationMissing   = "configuration-missing"
	CodeConfigurationAddress   = "configuration-address"
	CodeAddressBlocked         = "address-blocked"
	CodeConfigurationSilent    = "configuration-unreachable"
	CodeConfigurationRedirect  = "configuration-redirect"
	CodeConfigurationRefused   = "configuration-refused"
	CodeConfigurationTooLarge  = "configuration-too-large"
	CodeConfigurationForm      = "configuration-malformed"
	CodeConfigurationMember    = "configuration-member-missing"
	CodeConfigurationEndpoint  = "configuration-endpoint"
	CodeConfigurationNotLTI    = "configuration-not-lti"
	CodeConfigurationIssuer    = "configuration-issuer"
	CodeConfigurationForeign   = "configuration-issuer-foreign"
	CodeConfigurationAlgorithm = "configuration-algorithm"
	CodeConfigurationAuth      = "configuration-auth-method"
	CodeRegistrationUnsent     = "registration-unreachable"
	CodeRegistrationUnknown    = "registration-outcome-unknown"
	CodeRegistrationRedirect   = "registration-redirect"
	CodeRegistrationTokenUsed  = "registration-token-used"
	CodeRegistrationRefused    = "registration-refused"
	CodeRegistrationForm       = "registration-malformed"
	CodeRegistrationNoClientID = "registration-no-client-id"
	CodeRegistrationTaken      = "registration-taken"
)

// Step is the part of a login or launch to which a check belongs.
type Step string

// The steps, in the order in which a launch goes through them.
const (
	StepRequest   Step = "request"   // what was posted or asked for
	StepPlatform  Step = "platform"  // which registration it is
	StepAnswer    Step = "answer"    // what the platform answered
	StepBrowser   Step = "browser"   // whether it is the browser that began
	StepToken     Step = "token"     // form of the id_token
	StepKey       Step = "key"       // header, key and signature
	StepParties   Step = "parties"   // issuer, audience, azp
	StepTimes     Step = "times"     // exp, iat, nbf
	StepNonce     Step = "nonce"     // the login it belongs to
	StepMessage   Step = "message"   // what the message says
	StepDeepLink  Step = "deep-link" // the answer to a deep linking request
	StepRegister  Step = "register"  // dynamic registration
	StepMigration Step = "migration" // the signed word of LTI 1.1
)

type refusal struct {
	step   Step
	status int
	advice string
}

const (
	again       = "Go back to the course and open the activity again."
	askOperator = "Ask the administrator of this tool to look at the log; the code above says which check failed."
	askLMS      = "Ask the administrator of your learning platform to check the settings of this tool."

	// Of dynamic registration.
	newInvitation = "Ask the administrator of this tool for a new invitation."
	byHand        = "The tool can be entered by hand instead: the administrator of this tool has the values for each field of your learning platform (page Connections, or sealsmith platforms instructions)."
	noDuplicate   = "Before you try again, look in your learning platform whether the tool has been added already, and delete that entry: it would be there twice."
)

var refusals = map[string]refusal{
	CodeMethod:             {StepRequest, http.StatusMethodNotAllowed, again},
	CodeLaunchByGET:        {StepRequest, http.StatusMethodNotAllowed, "This address only works when the learning platform calls it. Open the activity from your course."},
	CodeContentType:        {StepRequest, http.StatusUnsupportedMediaType, "The learning platform has to send a form (application/x-www-form-urlencoded). " + askLMS},
	CodeTooLarge:           {StepRequest, http.StatusRequestEntityTooLarge, "The learning platform sent more than this tool accepts. " + askLMS},
	CodeForm:               {StepRequest, http.StatusBadRequest, "The form sent by the learning platform cannot be read. " + again},
	CodeDuplicateParameter: {StepRequest, http.StatusBadRequest, "A parameter was sent twice. " + again},
	CodeLTI11:              {StepRequest, http.StatusBadRequest, "This link was made for LTI 1.1, and this tool speaks LTI 1.3. Ask the administrator of your learning platform to add the tool again as LTI 1.3."},

	CodeIssuerParameter:   {StepRequest, http.StatusBadRequest, "The login carries no issuer (iss). " + askLMS},
	CodeLoginHint:         {StepRequest, http.StatusBadRequest, "The login carries no login_hint. " + askLMS},
	CodePlatformUnknown:   {StepPlatform, http.StatusBadRequest, "This learning platform is not registered here. Its administrator has to send issuer and client id to the administrator of this tool."},
	CodeLoginKey:          {StepPlatform, http.StatusNotFound, "This login address belongs to no connection. Its administrator has to enter the address of the connection's page again."},
	CodePlatformPending:   {StepPlatform, http.StatusForbidden, "This connection waits for confirmation. An administrator of this tool confirms it on the page Connections, or an operator with: sealsmith platforms confirm"},
	CodePlatformPaused:    {StepPlatform, http.StatusForbidden, "The administrator of this tool has paused this connection. Nothing is lost; come back later."},
	CodePlatformAmbiguous: {StepPlatform, http.StatusBadRequest, "Several connections share this issuer and the login names no client_id. " + askLMS},

	CodePlatformError:  {StepAnswer, http.StatusUnauthorized, "The learning platform did not confirm who you are. Sign in there again, then open the activity again."},
	CodeTokenMissing:   {StepAnswer, http.StatusBadRequest, "The learning platform sent no id_token. " + again},
	CodeStateMissing:   {StepAnswer, http.StatusUnauthorized, again},
	CodeStateUnknown:   {StepAnswer, http.StatusUnauthorized, "This login is not known here any more. " + again},
	CodeStateExpired:   {StepAnswer, http.StatusUnauthorized, "The login took longer than ten minutes. " + again},
	CodeCookieLost:     {StepBrowser, http.StatusUnauthorized, "Your browser did not keep the cookie of this login, as happens when cookies in frames are blocked. Open the activity in a new window."},
	CodeStateNotBound:  {StepBrowser, http.StatusUnauthorized, "This login was begun in another browser. " + again},
	CodeReplay:         {StepAnswer, http.StatusUnauthorized, "This launch was used already. " + again},
	CodeTokenForm:      {StepToken, http.StatusBadRequest, "The id_token is not a compact JWS of three base64url parts. " + askLMS},
	CodeTokenMalformed: {StepToken, http.StatusBadRequest, "The id_token does not hold what it must. " + askLMS},
	CodeTokenDuplicate: {StepToken, http.StatusBadRequest, "The id_token names the same member twice. " + askLMS},

	CodeAlg:             {StepKey, http.StatusUnauthorized, "The id_token must be signed with RS256. " + askLMS},
	CodeHeaderCritical:  {StepKey, http.StatusUnauthorized, "The id_token demands an extension this tool does not know. " + askLMS},
	CodeHeaderKey:       {StepKey, http.StatusUnauthorized, "The id_token brings its own key; only keys of the registered key set count. " + askLMS},
	CodeHeaderType:      {StepKey, http.StatusUnauthorized, "The token is of another kind than an id_token. " + askLMS},
	CodeKIDMissing:      {StepKey, http.StatusUnauthorized, "The id_token does not name its key (kid). " + askLMS},
	CodeKIDUnknown:      {StepKey, http.StatusUnauthorized, "The key of the id_token is not in the platform's key set. If the platform has just changed its key, try again in a minute. " + askLMS},
	CodeKeyWeak:         {StepKey, http.StatusUnauthorized, "The platform's key is too short: RSA needs 2048 bits. " + askLMS},
	CodeKeysUnavailable: {StepKey, http.StatusServiceUnavailable, "The key set of the learning platform cannot be read at the moment. Wait half a minute and reload."},
	CodeSignature:       {StepKey, http.StatusUnauthorized, "The signature of the id_token is not valid. " + again},

	CodeIssuerMismatch:    {StepParties, http.StatusUnauthorized, "The id_token comes from another learning platform than the login. " + askOperator},
	CodeIssuerSlash:       {StepParties, http.StatusUnauthorized, "The issuer differs from the registered one only by a slash at the end. Register it exactly as the learning platform sends it."},
	CodeAudienceMismatch:  {StepParties, http.StatusUnauthorized, "The id_token is made for another client id. In Moodle this happens when the activity has a consumer key of its own: the teacher clears the field \"Consumer key\" of the activity."},
	CodeAudienceUntrusted: {StepParties, http.StatusUnauthorized, "The id_token is made for further parties that this tool does not trust. " + askLMS},
	CodeAZPMissing:        {StepParties, http.StatusUnauthorized, "The id_token names several audiences but not the authorised one (azp). " + askLMS},
	CodeAZPMismatch:       {StepParties, http.StatusUnauthorized, "The id_token authorises another client (azp). " + askLMS},
	CodeExpMissing:        {StepTimes, http.StatusUnauthorized, "The id_token has no end (exp). " + askLMS},
	CodeExpired:           {StepTimes, http.StatusUnauthorized, "This launch has expired. " + again},
	CodeLifetime:          {StepTimes, http.StatusUnauthorized, "The id_token is valid for longer than a day, or ends before it begins. " + askLMS},
	CodeIATMissing:        {StepTimes, http.StatusUnauthorized, "The id_token does not say when it was made (iat). " + askLMS},
	CodeIATFuture:         {StepTimes, http.StatusUnauthorized, "The id_token comes from the future: the clock of the learning platform or of this tool is wrong. " + askOperator},
	CodeIATOld:            {StepTimes, http.StatusUnauthorized, "The id_token was made too long ago, or the clocks differ. " + again},
	CodeNotBefore:         {StepTimes, http.StatusUnauthorized, "The id_token is not valid yet: the clocks differ. " + askOperator},
	CodeNonceMissing:      {StepNonce, http.StatusUnauthorized, "The id_token has no nonce. " + askLMS},
	CodeNonceMismatch:     {StepNonce, http.StatusUnauthorized, "The id_token belongs to another login. " + again},
	CodeClaimType:         {StepMessage, http.StatusUnauthorized, "A required claim of the id_token has the wrong type. " + askLMS},

	CodeNotLTI:                {StepMessage, http.StatusUnauthorized, "The id_token carries no LTI claims. " + askLMS},
	CodeVersionMissing:        {StepMessage, http.StatusUnauthorized, "The id_token does not name its LTI version. " + askLMS},
	CodeVersionMismatch:       {StepMessage, http.StatusUnauthorized, "This tool speaks LTI version 1.3.0. " + askLMS},
	CodeDeploymentMissing:     {StepMessage, http.StatusUnauthorized, "The id_token names no deployment. " + askLMS},
	CodeDeploymentLength:      {StepMessage, http.StatusUnauthorized, "The deployment id is longer than 255 characters. " + askLMS},
	CodeDeploymentMismatch:    {StepMessage, http.StatusUnauthorized, "The login named another deployment than the id_token. " + again},
	CodeDeploymentUnknown:     {StepMessage, http.StatusForbidden, "This tool was added to your learning platform a second time (a new deployment), and that waits for approval. An administrator of this tool approves it on the page Connections, or an operator with the command below."}, // deploymentUnknown adds the command
	CodeMessageTypeMissing:    {StepMessage, http.StatusUnauthorized, "The id_token names no message type. " + askLMS},
	CodeMessageTypeUnknown:    {StepMessage, http.StatusUnauthorized, "This kind of message is not known. " + askLMS},
	CodeMessageTypeNotOffered: {StepMessage, http.StatusBadRequest, "This tool does not offer this kind of message. Open it as an activity of a course."},
	CodeForUserMissing:        {StepMessage, http.StatusUnauthorized, "The request to review does not say whose work (for_user). " + askLMS},
	CodeForUserForeign:        {StepMessage, http.StatusForbidden, "Only teachers can open what belongs to somebody else."},
	CodeRolesMissing:          {StepMessage, http.StatusUnauthorized, "The id_token has no list of roles. " + askLMS},
	CodeSubjectMissing:        {StepMessage, http.StatusUnauthorized, "The learning platform does not say who you are; anonymous launches are not possible. " + askLMS},
	CodeSubjectLength:         {StepMessage, http.StatusUnauthorized, "The user id is longer than 255 characters. " + askLMS},
	CodeSubjectCharacters:     {StepMessage, http.StatusUnauthorized, "The user id contains control characters. " + askLMS},
	CodeTargetMissing:         {StepMessage, http.StatusUnauthorized, "The id_token does not say what to open (target_link_uri). " + askLMS},
	CodeTargetForeign:         {StepMessage, http.StatusUnauthorized, "The learning platform is set up with another address of this tool. " + askLMS},
	CodeResourceLinkMissing:   {StepMessage, http.StatusUnauthorized, "The id_token names no resource link. " + askLMS},
	CodeResourceLinkLength:    {StepMessage, http.StatusUnauthorized, "The resource link id is longer than 255 characters. " + askLMS},
	CodeDeepLinkingSettings:   {StepMessage, http.StatusUnauthorized, "The request to choose content carries no settings. " + askLMS},
	CodeDeepLinkingReturnURL:  {StepMessage, http.StatusUnauthorized, "The request to choose content names no https address of this platform to return to. If the platform has further hosts, an operator of this tool can add them: sealsmith platforms set --host"},

	CodeNoticeForm:  {StepRequest, http.StatusBadRequest, "Notices come as JSON with a list of signed tokens (Platform Notification Service 1.0)."},
	CodeNoticeClaim: {StepMessage, http.StatusUnauthorized, "The token is not a notice. " + askLMS},

	CodeNotDeepLinking: {StepDeepLink, http.StatusConflict, "This session was not opened to choose content. Begin in the course: add an activity and select content."},
	CodeItemInvalid:    {StepDeepLink, http.StatusUnprocessableEntity, "The chosen item is not complete. " + askOperator},
	CodeItemType:       {StepDeepLink, http.StatusUnprocessableEntity, "This place of the course does not accept activities of this tool. Return, and add it as an external tool activity."},
	CodeItemCount:      {StepDeepLink, http.StatusUnprocessableEntity, "The learning platform accepts one item at a time. Choose one."},

	CodeInvitationUnknown:      {StepRegister, http.StatusNotFound, "This registration address is not known. Look whether all of it was copied, or: " + newInvitation},
	CodeInvitationUsed:         {StepRegister, http.StatusGone, "This invitation has been used: it is good for one registration. If you have just registered, all is well; an administrator of this tool sees the connection on the page Connections."},
	CodeInvitationExpired:      {StepRegister, http.StatusGone, "This invitation has expired or was withdrawn. " + newInvitation},
	CodeInvitationLost:         {StepRegister, http.StatusGone, "Your learning platform has added the tool, but meanwhile the invitation was used or withdrawn, and nothing was kept here. " + newInvitation + " " + noDuplicate},
	CodeConfigurationMissing:   {StepRegister, http.StatusBadRequest, "This address is for a learning platform, not for a browser: paste it where the platform asks for the registration address of a tool. Platforms without such a field are set up by hand, as below."},
	CodeConfigurationAddress:   {StepRegister, http.StatusBadRequest, "The learning platform names an address of its configuration that cannot be used: it must be https on port 443 or 8443. " + byHand},
	CodeAddressBlocked:         {StepRegister, http.StatusBadRequest, "The address of the learning platform is not a public one, and this tool calls no others when it is registered this way. " + byHand},
	CodeConfigurationSilent:    {StepRegister, http.StatusBadGateway, "The configuration of the learning platform could not be read: there was no complete answer within five seconds. Try again, or look whether the platform can be reached from outside."},
	CodeConfigurationRedirect:  {StepRegister, http.StatusBadGateway, "The learning platform sends on to another address when its configuration is read, which this tool does not follow. " + byHand},
	CodeConfigurationRefused:   {StepRegister, http.StatusBadGateway, "The learning platform did not give out its configuration. Start the registration again from your learning platform; its permission is short-lived."},
	CodeConfigurationTooLarge:  {StepRegister, http.StatusBadGateway, "The configuration of the learning platform is larger than any should be. " + byHand},
	CodeConfigurationForm:      {StepRegister, http.StatusBadGateway, "What came back is not the configuration of a learning platform. Perhaps it is under maintenance, or wants somebody to sign in. " + byHand},
	CodeConfigurationMember:    {StepRegister, http.StatusBadRequest, "The configuration of the learning platform lacks a part that is needed. " + byHand},
	CodeConfigurationEndpoint:  {StepRegister, http.StatusBadRequest, "The configuration of the learning platform names an address that cannot be used. " + byHand},
	CodeConfigurationNotLTI:    {StepRegister, http.StatusBadRequest, "This is the configuration of a sign-in service, but not of an LTI platform. " + byHand},
	CodeConfigurationIssuer:    {StepRegister, http.StatusBadRequest, "The learning platform calls itself by an address that cannot be an issuer: it must be https, without query and fragment. " + byHand},
	CodeConfigurationForeign:   {StepRegister, http.StatusBadRequest, "The configuration speaks for a learning platform on another host. That is refused, so that nobody can register in the name of others. " + byHand},
	CodeConfigurationAlgorithm: {StepRegister, http.StatusBadRequest, "The learning platform does not sign with RS256, which LTI requires. " + byHand},
	CodeConfigurationAuth:      {StepRegister, http.StatusBadRequest, "The learning platform does not offer what LTI requires. " + byHand},
	CodeRegistrationUnsent:     {StepRegister, http.StatusBadGateway, "The registration address of the learning platform cannot be reached. Nothing was sent; try again."},
	CodeRegistrationUnknown:    {StepRegister, http.StatusGatewayTimeout, "The learning platform was asked to add the tool, but gave no clear answer. It may have added it. " + noDuplicate},
	CodeRegistrationRedirect:   {StepRegister, http.StatusBadGateway, "The learning platform sends on to another address when the tool registers, which this tool does not follow. " + byHand},
	CodeRegistrationTokenUsed:  {StepRegister, http.StatusConflict, "The learning platform's permission to register has been used or has expired. Start the registration again from your learning platform; the invitation of this tool is still good. " + noDuplicate},
	CodeRegistrationRefused:    {StepRegister, http.StatusBadGateway, "The learning platform refused to add the tool. What it says is below. " + byHand},
	CodeRegistrationForm:       {StepRegister, http.StatusBadGateway, "The learning platform's answer to the registration cannot be read. " + noDuplicate},
	CodeRegistrationNoClientID: {StepRegister, http.StatusBadGateway, "The learning platform added the tool but gave it no client id. " + noDuplicate},
	CodeRegistrationTaken:      {StepRegister, http.StatusConflict, "This connection belongs to another organisation here, and stays there. Both were told. If your learning platform serves both, ask the operator of this tool."},
}
