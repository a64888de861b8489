package lti

const toolName = "Sealsmith"

// forMoodle: language file mod/lti/lang/en/lti.php of Moodle 4.5, and the pages
// support.watermarkinsights.com 21163574085531 and credoinfolit.zendesk.com 8461519650971,
// which walk through the form. What Moodle shows afterwards is behind the icon "View
// configuration details".
func forMoodle(a ToolAddresses) Instructions {
	return Instructions{
		Family: "moodle", Name: "Moodle",
		Register: "Site administration > Plugins > Activity modules > External tool > Manage tools: paste it into “Tool URL…” and press “Add LTI Advantage”.",
		Where:    "Site administration > Plugins > Activity modules > External tool > Manage tools > “configure a tool manually”",
		Fields: []FormField{
			paste("Tool name", toolName),
			paste("Tool URL", a.Launch),
			choose("LTI version", "LTI 1.3"),
			choose("Public key type", "Keyset URL"),
			paste("Public keyset", a.Keys),
			paste("Initiate login URL", a.Login),
			paste("Redirection URI(s)", a.Launch),
			paste("Custom parameters", parameterLines("\n", "Context.id.history", "CourseSection.timeFrame.begin", "CourseSection.timeFrame.end")),
			choose("Tool configuration usage", "Show in activity chooser and as a preconfigured tool"),
			choose("Default launch container", "New window"),
			choose("Supports Deep Linking (Content-Item Message)", "yes"),
			paste("Content Selection URL", a.Launch),
			choose("IMS LTI Assignment and Grade Services", "Use this service for grade sync and column management"),
			choose("IMS LTI Names and Role Provisioning", "Use this service to retrieve members' information as per privacy settings"),
			choose("Share launcher's name with tool", "Always"),
			choose("Share launcher's email with tool", "Always, or Never if no mail shall be sent"),
			choose("Accept grades from the tool", "Always"),
		},
		Returns: []ReturnedValue{
			{"Platform ID", "--issuer"},
			{"Client ID", "--client-id"},
			{"Deployment ID", "--deployment"},
			{"Public keyset URL", "--jwks-url"},
			{"Access token URL", "--token-url"},
			{"Authentication request URL", "--auth-url"},
		},
		After: []string{
			"In Moodle, under Manage tools, the tool is shown as Pending: press “Activate”.",
			"In a course: More > LTI External tools, and switch “Show in activity chooser” on for the tool.",
		},
	}
}

// forCanvas: documentation lti_dev_key_config and registration of the Canvas API; the
// guides "How do I add an app using JSON URL?" (guides.instructure.com 1954062) and "How do
// I configure an external app for an account using a client ID?"; github.com/oxctl, wiki
// "Canvas Manual Installation". The issuer and the addresses are those of Instructure's
// cloud: Canvas does not show them.
func forCanvas(a ToolAddresses) Instructions {
	return Instructions{
		Family: "canvas", Name: "Canvas",
		Register: "Admin > your account > Apps > Manage > “Install a New App”: LTI version 1.3, install method “Dynamic Registration”, and paste it there. In older releases: Admin > Developer Keys > “+ Developer Key” > “+ LTI Registration”.",
		Where:    "Admin > your account > Apps > Manage > “Install a New App”; in older releases Admin > Developer Keys > “+ Developer Key” > “+ LTI Key”",
		Fields: []FormField{
			paste("Key Name", toolName),
			paste("Redirect URIs", a.Launch),
			choose("Method", "Enter URL"),
			paste("JSON URL", a.Config),
			choose("Privacy level", "Public"),
		},
		Returns: []ReturnedValue{
			{"the number in the column Details of Developer Keys", "--client-id"},
			{"Deployment ID, in the menu of the app under Settings > Apps", "--deployment"},
			{"https://canvas.instructure.com", "--issuer"},
			{"https://sso.canvaslms.com/api/lti/authorize_redirect", "--auth-url"},
			{"https://sso.canvaslms.com/login/oauth2/token", "--token-url"},
			{"https://sso.canvaslms.com/api/lti/security/jwks", "--jwks-url"},
		},
		After: []string{
			"In Canvas, under Admin > Developer Keys, set the state of the key to “On”.",
			"Under Admin > Settings > Apps > View App Configurations, press “+ App”, choose “By Client ID”, and enter the client id.",
			"The first launch from each account shows a new deployment here; an administrator of this tool approves it.",
		},
	}
}

// forBrightspace: documentation.brightspace.com "Register an external learning tool for
// LTI Advantage", community.d2l.com articles 23662 and 18081 (what is shown afterwards).
func forBrightspace(a ToolAddresses) Instructions {
	return Instructions{
		Family: "desire2learn", Name: "Brightspace",
		Register: "Admin Tools > Manage Extensibility > LTI Advantage > “Register Tool”: choose “Dynamic” and paste it into “Tool initiation registration endpoint”.",
		Where:    "Admin Tools > Manage Extensibility > LTI Advantage > “Register Tool”: choose “Standard”",
		Fields: []FormField{
			paste("Name", toolName),
			paste("Domain", "https://"+a.Domain),
			paste("Redirect URLs", a.Launch),
			paste("OpenID Connect Login URL", a.Login),
			paste("Target Link URI", a.Launch),
			paste("Keyset URL", a.Keys),
			choose("Extensions", "Assignment and Grade Services, Deep Linking, Names and Role Provisioning Services, Platform Notification Service"),
			choose("Send Institution Role", "yes"),
			choose("Custom Parameters", parameterLines(", ", "Context.id.history", "ResourceLink.id.history")),
		},
		Returns: []ReturnedValue{
			{"Client Id", "--client-id"},
			{"Brightspace Keyset URL", "--jwks-url"},
			{"Brightspace OAuth2 Access Token URL", "--token-url"},
			{"OpenID Connect Authentication Endpoint", "--auth-url"},
			{"Brightspace OAuth2 Audience", "--audience"},
			{"Issuer", "--issuer"},
			{"Deployment Id, of the deployment", "--deployment"},
		},
		After: []string{
			"In Brightspace, under Manage Extensibility > LTI Advantage, open the tool and enable the registration: it begins disabled.",
			"Press “View Deployments” > “New Deployment”, choose the tool, tick the same extensions, and under Security Settings what this tool may know (at least the name).",
			"Press “Add Org Units” for the courses that may use it, then “View Links” > “New Link” with the type “Deep Linking Quicklink”.",
		},
	}
}

// forBlackboard: docs.anthology.com "Registering and Managing a REST or LTI Application"
// and "Registering a new LTI application"; support.scorm.com 9194958019483 (what is shown
// afterwards). The portal registers a tool once for the whole cloud, not for an
// institution, so it is the operator of this tool who does it.
func forBlackboard(a ToolAddresses) Instructions {
	return Instructions{
		Family: "blackboardlearn", Name: "Blackboard Learn",
		Where: "once, by the operator of this tool: developer.anthology.com (formerly developer.blackboard.com) > “Register a REST or LTI application”",
		Fields: []FormField{
			paste("Application Name", toolName),
			paste("Domain(s)", a.Domain),
			choose("My Integration supports LTI 1.3", "on"),
			paste("Login Initiation URL", a.Login),
			paste("Tool Redirect URL(s)", a.Launch),
			paste("Tool JWKS URL", a.Keys),
			choose("Signing Algorithm", "RS256"),
			choose("Custom Parameters", "leave empty"),
		},
		Returns: []ReturnedValue{
			{"Application ID", "--client-id"},
			{"Issuer", "--issuer"},
			{"Public Keyset URL", "--jwks-url"},
			{"Auth Token Endpoint", "--token-url"},
			{"OIDC Auth Request Endpoint", "--auth-url"},
			{"Deployment ID, in Learn", "--deployment"},
		},
		After: []string{
			"In Learn: Administrator Panel > LTI Tool Providers > “Register LTI 1.3/Advantage Tool”, enter the Application ID as Client ID, and submit.",
			"Set “Tool Status” to “Approved”, allow grade service and membership service access, and send name and role.",
			"In the menu of the tool: Manage Placements > Create Placement, type “Deep Linking content tool”, with " + a.Launch + " as Target Link URI.",
			"The first launch shows the deployment here; an administrator of this tool approves it.",
		},
	}
}

// forSakai: lti/lti-impl/src/bundle/ltiservice.properties and
// lti/lti-tool/src/bundle/ltitool.properties of sakaiproject/sakai.
func forSakai(a ToolAddresses) Instructions {
	return Instructions{
		Family: "sakai", Name: "Sakai",
		Register: "Administration Workspace > External Tools (LTI) > “LTI Dynamic Registration”: enter a Tool Title, press “Dynamic Registration”, and paste it into “LTI Dynamic Registration URL”.",
		Where:    "Administration Workspace > External Tools (LTI) > “Install New Tool”",
		Fields: []FormField{
			paste("Tool Title", toolName),
			paste("Launch URL (1.1) / Target Link URI (1.3)", a.Launch),
			choose("Send User Names to External Tool", "yes"),
			choose("Send Email Addresses to External Tool", "yes, or no if no mail shall be sent"),
			choose("Allow External Tool to return grades", "yes"),
			choose("Allow External Tool to create grade columns", "yes"),
			choose("Provide Roster to External Tool", "yes"),
			choose("The tool URL supports a single LTI tool (Resource Link launch)", "yes"),
			choose("The tool URL supports a \"resource picker\" experience with one or more tools (Deep Link launch)", "yes"),
			choose("Allow the tool to be selected from Lessons", "yes"),
			choose("Allow the tool to be one of the assignment types", "yes"),
			paste("Custom Parameters (key=value on separate lines)", parameterLines("\n", "Context.id.history", "ResourceLink.id.history")),
			choose("LTI version", "Tool supports LTI 1.3"),
			paste("LTI 1.3 Tool OpenID Connect/Initialization Endpoint (provided by the tool)", a.Login),
			paste("LTI 1.3 Tool Redirect Endpoint(s) (comma separated and provided by the tool)", a.Launch),
			paste("LTI 1.3 Tool Keyset / JWK URL (provided by the tool)", a.Keys),
		},
		Returns: []ReturnedValue{
			{"LTI 1.3 Client ID (provide to the tool)", "--client-id"},
			{"LTI 1.3 Deployment Id (provide to tool)", "--deployment"},
			{"LTI 1.3 Platform Issuer (provide to tool)", "--issuer"},
			{"LTI 1.3 LMS Keyset URL (provide to the tool)", "--jwks-url"},
			{"LTI 1.3 LMS OIDC Endpoint URL (provide to the tool)", "--auth-url"},
			{"LTI 1.3 LMS OAuth Token URL (provide to the tool)", "--token-url"},
		},
		After: []string{
			"In Sakai, look through the values that came with the registration and save the tool; that activates it.",
		},
	}
}

// forILIAS: lang/ilias_en.lang and class.ilLTIConsumeProviderFormGUI.php of
// ILIAS-eLearning/ILIAS; dynamic registration and grades came with release 11.
func forILIAS(a ToolAddresses) Instructions {
	return Instructions{
		Family: "ilias", Name: "ILIAS",
		Register: "From release 11: add an object “LTI Consumer” and choose “Create Own Settings for Tool with Dynamic Registration (LTI 1.3)”, then paste it into “Registration URL of the Tool”.",
		Where:    "Administration > Extending ILIAS > LTI > “ILIAS as LTI Platform (Consumer)” > “Global Tools for all Users” > “Add Global Tool for all Users”",
		Fields: []FormField{
			paste("Title", toolName),
			choose("Availability", "For Creating Objects"),
			choose("LTI Version", "Version 1.3"),
			paste("Launch URL", a.Launch),
			paste("Initiate Login URL", a.Login),
			paste("Redirection URI", a.Launch),
			choose("Public Key Type", "URL (Json Web Token)"),
			paste("URL", a.Keys),
			choose("Support for Deep Linking", "yes"),
			paste("Content URL", a.Launch),
			choose("Assignment and Grade Services", "yes (from release 11)"),
		},
		Returns: []ReturnedValue{
			{"Platform-ID", "--issuer"},
			{"Client-ID", "--client-id"},
			{"Deployment-ID", "--deployment"},
			{"Public Keyset URL", "--jwks-url"},
			{"Access Token URL", "--token-url"},
			{"Authentication Request URL", "--auth-url"},
		},
		After: []string{
			"In ILIAS, open the object and set it online; under Settings > LTI Provider Settings, “Select” opens the choice of credentials.",
		},
	}
}

// forOpenEdX: lti_consumer/lti_xblock.py and templates/html/lti_1p3_studio.html of
// openedx/xblock-lti-consumer. There is a set of keys and addresses for every component,
// so each is a platform of its own here.
func forOpenEdX(a ToolAddresses) Instructions {
	return Instructions{
		Family: "open-edx", Name: "Open edX",
		Where: "Studio > Settings > Advanced Settings: add \"lti_consumer\" to Advanced Module List; then in a unit: Advanced > LTI Consumer > Edit",
		Fields: []FormField{
			paste("Display Name", toolName),
			choose("Configuration Type", "Configuration on block"),
			choose("LTI Version", "LTI 1.3"),
			paste("Tool Launch URL", a.Launch),
			paste("Registered Redirect URIs", `["`+a.Launch+`"]`),
			paste("Tool Initiate Login URL", a.Login),
			choose("Tool Public Key Mode", "Keyset URL"),
			paste("Tool Keyset URL", a.Keys),
			choose("Enable LTI NRPS", "True"),
			choose("Deep linking", "True"),
			paste("Deep Linking Launch URL", a.Launch),
			choose("LTI Assignment and Grades Service", "Allow tools to manage and submit grade (programmatic)"),
			choose("Request user's full name", "True"),
			choose("Request user's email", "True, or False if no mail shall be sent"),
		},
		Returns: []ReturnedValue{
			{"Client", "--client-id"},
			{"Deployment ID", "--deployment"},
			{"Keyset URL", "--jwks-url"},
			{"OAuth Token URL", "--token-url"},
			{"OIDC Callback URL", "--auth-url"},
			{"the address of the LMS, https://…", "--issuer"},
		},
		After: []string{
			"Publish the unit; launches work from the LMS only, not from Studio.",
		},
	}
}
