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
	CodePlatformSlash     = "platform-slash"
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

	// The deep linking response.
	CodeNotDeepLinking = "not-deep-linking"
	CodeItemInvalid    = "item-invalid"
	CodeItemType       = "item-type-not-accepted"
	CodeItemCount      = "item-count"
)

type refusal struct {
	status int
	advice string
}

const (
	again       = "Go back to the course and open the activity again."
	askOperator = "Ask the administrator of this tool to look at the log; the code above says which check failed."
	askLMS      = "Ask the administrator of your learning platform to check the settings of this tool."
)

var refusals = map[string]refusal{
	CodeMethod:             {http.StatusMethodNotAllowed, again},
	CodeLaunchByGET:        {http.StatusMethodNotAllowed, "This address only works when the learning platform calls it. Open the activity from your course."},
	CodeContentType:        {http.StatusUnsupportedMediaType, "The learning platform has to send a form (application/x-www-form-urlencoded). " + askLMS},
	CodeTooLarge:           {http.StatusRequestEntityTooLarge, "The learning platform sent more than this tool accepts. " + askLMS},
	CodeForm:               {http.StatusBadRequest, "The form sent by the learning platform cannot be read. " + again},
	CodeDuplicateParameter: {http.StatusBadRequest, "A parameter was sent twice. " + again},
	CodeLTI11:              {http.StatusBadRequest, "This link was made for LTI 1.1, and this tool speaks LTI 1.3. Ask the administrator of your learning platform to add the tool again as LTI 1.3."},

	CodeIssuerParameter:   {http.StatusBadRequest, "The login carries no issuer (iss). " + askLMS},
	CodeLoginHint:         {http.StatusBadRequest, "The login carries no login_hint. " + askLMS},
	CodePlatformUnknown:   {http.StatusBadRequest, "This learning platform is not registered here. Its administrator has to send issuer and client id to the administrator of this tool."},
	CodePlatformSlash:     {http.StatusBadRequest, "The issuer differs from the registered one only by a slash at the end. Register it exactly as the learning platform sends it."},
	CodePlatformAmbiguous: {http.StatusBadRequest, "Several connections share this issuer and the login names no client_id. " + askLMS},

	CodePlatformError:  {http.StatusUnauthorized, "The learning platform did not confirm who you are. Sign in there again, then open the activity again."},
	CodeTokenMissing:   {http.StatusBadRequest, "The learning platform sent no id_token. " + again},
	CodeStateMissing:   {http.StatusUnauthorized, again},
	CodeStateUnknown:   {http.StatusUnauthorized, "This login is not known here any more. " + again},
	CodeStateExpired:   {http.StatusUnauthorized, "The login took longer than ten minutes. " + again},
	CodeCookieLost:     {http.StatusUnauthorized, "Your browser did not keep the cookie of this login, as happens when cookies in frames are blocked. Open the activity in a new window."},
	CodeStateNotBound:  {http.StatusUnauthorized, "This login was begun in another browser. " + again},
	CodeReplay:         {http.StatusUnauthorized, "This launch was used already. " + again},
	CodeTokenForm:      {http.StatusBadRequest, "The id_token is not a compact JWS of three base64url parts. " + askLMS},
	CodeTokenMalformed: {http.StatusBadRequest, "The id_token does not hold what it must. " + askLMS},
	CodeTokenDuplicate: {http.StatusBadRequest, "The id_token names the same member twice. " + askLMS},

	CodeAlg:             {http.StatusUnauthorized, "The id_token must be signed with RS256. " + askLMS},
	CodeHeaderCritical:  {http.StatusUnauthorized, "The id_token demands an extension this tool does not know. " + askLMS},
	CodeHeaderKey:       {http.StatusUnauthorized, "The id_token brings its own key; only keys of the registered key set count. " + askLMS},
	CodeHeaderType:      {http.StatusUnauthorized, "The token is of another kind than an id_token. " + askLMS},
	CodeKIDMissing:      {http.StatusUnauthorized, "The id_token does not name its key (kid). " + askLMS},
	CodeKIDUnknown:      {http.StatusUnauthorized, "The key of the id_token is not in the platform's key set. If the platform has just changed its key, try again in a minute. " + askLMS},
	CodeKeyWeak:         {http.StatusUnauthorized, "The platform's key is too short: RSA needs 2048 bits. " + askLMS},
	CodeKeysUnavailable: {http.StatusServiceUnavailable, "The key set of the learning platform cannot be read at the moment. Wait half a minute and reload."},
	CodeSignature:       {http.StatusUnauthorized, "The signature of the id_token is not valid. " + again},

	CodeIssuerMismatch:    {http.StatusUnauthorized, "The id_token comes from another learning platform than the login. " + askOperator},
	CodeIssuerSlash:       {http.StatusUnauthorized, "The issuer differs from the registered one only by a slash at the end. Register it exactly as the learning platform sends it."},
	CodeAudienceMismatch:  {http.StatusUnauthorized, "The id_token is made for another client id. In Moodle this happens when the activity has a consumer key of its own: the teacher clears the field \"Consumer key\" of the activity."},
	CodeAudienceUntrusted: {http.StatusUnauthorized, "The id_token is made for further parties that this tool does not trust. " + askLMS},
	CodeAZPMissing:        {http.StatusUnauthorized, "The id_token names several audiences but not the authorised one (azp). " + askLMS},
	CodeAZPMismatch:       {http.StatusUnauthorized, "The id_token authorises another client (azp). " + askLMS},
	CodeExpMissing:        {http.StatusUnauthorized, "The id_token has no end (exp). " + askLMS},
	CodeExpired:           {http.StatusUnauthorized, "This launch has expired. " + again},
	CodeLifetime:          {http.StatusUnauthorized, "The id_token is valid for longer than a day, or ends before it begins. " + askLMS},
	CodeIATMissing:        {http.StatusUnauthorized, "The id_token does not say when it was made (iat). " + askLMS},
	CodeIATFuture:         {http.StatusUnauthorized, "The id_token comes from the future: the clock of the learning platform or of this tool is wrong. " + askOperator},
	CodeIATOld:            {http.StatusUnauthorized, "The id_token was made too long ago, or the clocks differ. " + again},
	CodeNotBefore:         {http.StatusUnauthorized, "The id_token is not valid yet: the clocks differ. " + askOperator},
	CodeNonceMissing:      {http.StatusUnauthorized, "The id_token has no nonce. " + askLMS},
	CodeNonceMismatch:     {http.StatusUnauthorized, "The id_token belongs to another login. " + again},
	CodeClaimType:         {http.StatusUnauthorized, "A required claim of the id_token has the wrong type. " + askLMS},

	CodeNotLTI:                {http.StatusUnauthorized, "The id_token carries no LTI claims. " + askLMS},
	CodeVersionMissing:        {http.StatusUnauthorized, "The id_token does not name its LTI version. " + askLMS},
	CodeVersionMismatch:       {http.StatusUnauthorized, "This tool speaks LTI version 1.3.0. " + askLMS},
	CodeDeploymentMissing:     {http.StatusUnauthorized, "The id_token names no deployment. " + askLMS},
	CodeDeploymentLength:      {http.StatusUnauthorized, "The deployment id is longer than 255 characters. " + askLMS},
	CodeDeploymentMismatch:    {http.StatusUnauthorized, "The login named another deployment than the id_token. " + again},
	CodeDeploymentUnknown:     {http.StatusForbidden, "This deployment is not registered yet."}, // deploymentUnknown adds the command
	CodeMessageTypeMissing:    {http.StatusUnauthorized, "The id_token names no message type. " + askLMS},
	CodeMessageTypeUnknown:    {http.StatusUnauthorized, "This kind of message is not known. " + askLMS},
	CodeMessageTypeNotOffered: {http.StatusBadRequest, "This tool does not offer this kind of message. Open it as an activity of a course."},
	CodeRolesMissing:          {http.StatusUnauthorized, "The id_token has no list of roles. " + askLMS},
	CodeSubjectMissing:        {http.StatusUnauthorized, "The learning platform does not say who you are; anonymous launches are not possible. " + askLMS},
	CodeSubjectLength:         {http.StatusUnauthorized, "The user id is longer than 255 characters. " + askLMS},
	CodeSubjectCharacters:     {http.StatusUnauthorized, "The user id contains control characters. " + askLMS},
	CodeTargetMissing:         {http.StatusUnauthorized, "The id_token does not say what to open (target_link_uri). " + askLMS},
	CodeTargetForeign:         {http.StatusUnauthorized, "The learning platform is set up with another address of this tool. " + askLMS},
	CodeResourceLinkMissing:   {http.StatusUnauthorized, "The id_token names no resource link. " + askLMS},
	CodeResourceLinkLength:    {http.StatusUnauthorized, "The resource link id is longer than 255 characters. " + askLMS},
	CodeDeepLinkingSettings:   {http.StatusUnauthorized, "The request to choose content carries no settings. " + askLMS},
	CodeDeepLinkingReturnURL:  {http.StatusUnauthorized, "The request to choose content names no https address to return to. " + askLMS},

	CodeNotDeepLinking: {http.StatusConflict, "This session was not opened to choose content. Begin in the course: add an activity and select content."},
	CodeItemInvalid:    {http.StatusUnprocessableEntity, "The chosen item is not complete. " + askOperator},
	CodeItemType:       {http.StatusUnprocessableEntity, "This place of the course does not accept activities of this tool. Return, and add it as an external tool activity."},
	CodeItemCount:      {http.StatusUnprocessableEntity, "The learning platform accepts one item at a time. Choose one."},
}
