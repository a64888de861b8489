package lti

// Names of claims (Core 1.3, section 5.3; Deep Linking 2.0; AGS 2.0; NRPS 2.0).
const (
	claimPrefix       = "https://purl.imsglobal.org/spec/lti/claim/"
	claimMessageType  = claimPrefix + "message_type"
	claimVersion      = claimPrefix + "version"
	claimDeployment   = claimPrefix + "deployment_id"
	claimTarget       = claimPrefix + "target_link_uri"
	claimResourceLink = claimPrefix + "resource_link"
	claimRoles        = claimPrefix + "roles"
	claimContext      = claimPrefix + "context"
	claimPlatform     = claimPrefix + "tool_platform"
	claimPresentation = claimPrefix + "launch_presentation"
	claimCustom       = claimPrefix + "custom"
	claimForUser      = claimPrefix + "for_user"
	claimNotices      = claimPrefix + "platformnotificationservice"
	claimNotice       = claimPrefix + "notice"
	claimOrigins      = claimPrefix + "origin_contexts"
	claimMigration    = claimPrefix + "lti1p1"

	claimDeepLinking = "https://purl.imsglobal.org/spec/lti-dl/claim/"
	claimDLSettings  = claimDeepLinking + "deep_linking_settings"
	claimDLData      = claimDeepLinking + "data"
	claimAGS         = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
	claimNRPS        = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
)

const (
	ltiVersion  = "1.3.0"
	maxIDLength = 255 // of deployment, user, context and resource link ids
)
