package demolms

// Knobs of the notices and their service.
const (
	NoticesBadSignature   Knob = "notices-bad-signature"
	NoticesReplayed       Knob = "notices-replayed"
	NoticesUnknownType    Knob = "notices-unknown-type"
	NoticesWrongDeploy    Knob = "notices-unknown-deployment"
	NoticesForeignOrigin  Knob = "notices-foreign-origin"
	NoticesUnknownOrigin  Knob = "notices-unknown-origin"
	NoticesMessageType    Knob = "notices-launch-message-type"
	NoticesIDToken        Knob = "notices-id-token"
	NoticesNotJSON        Knob = "notices-not-json"
	NoticesHuge           Knob = "notices-huge"
	NoticesNotDelivered   Knob = "notices-not-delivered"
	NoticesNumberClientID Knob = "notices-number-client-id"
)

// numericClientID stands for a client id that is no number.
const numericClientID = 10000000000042

func noticeKnobs() []KnobInfo {
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	return []KnobInfo{
		{Knob: NoticesBadSignature, Area: AreaNotices, Default: On, Cases: "N2", Effect: "A notice signed by an unknown key is delivered together with each good one."},
		{Knob: NoticesReplayed, Area: AreaNotices, Default: On, Cases: "N3", Effect: "Each notice is delivered twice with the same notice id, freshly signed."},
		{Knob: NoticesUnknownType, Area: AreaNotices, Default: On, Cases: "N5", Effect: "Notices are of a type nobody knows.", change: func(c map[string]any) {
			if n, ok := c[claimNotice].(map[string]any); ok {
				n["type"] = "LtiSomethingElseNotice"
			}
		}},
		{Knob: NoticesWrongDeploy, Area: AreaNotices, Default: On, Cases: "N4", Effect: "Notices name a deployment the tool does not know.", change: set(claimDeployment, wrongDeployment)},
		{Knob: NoticesForeignOrigin, Area: AreaNotices, Default: On, Cases: "N8", Effect: "The notice of a course copy names the other courses as its origin."},
		{Knob: NoticesUnknownOrigin, Area: AreaNotices, Default: On, Cases: "N9", Effect: "The notice of a course copy names an origin that does not exist.", change: func(c map[string]any) {
			if c[claimOrigins] != nil {
				c[claimOrigins] = []string{"no-such-course"}
			}
		}},
		{Knob: NoticesMessageType, Area: AreaNotices, Default: On, Cases: "N6", Effect: "Notices also carry the message_type of a launch.", change: set(claimMessageType, messageLaunch)},
		{Knob: NoticesIDToken, Area: AreaNotices, Default: On, Cases: "N6", Effect: "The id_token of a launch is delivered in place of a notice."},
		{Knob: NoticesNotJSON, Area: AreaNotices, Default: On, Cases: "N1", Effect: "The body of a delivery is not JSON."},
		{Knob: NoticesHuge, Area: AreaNotices, Default: On, Cases: "N7", Effect: "Each notice is repeated ten thousand times in one delivery."},
		{Knob: NoticesNotDelivered, Area: AreaNotices, Default: On, Effect: "Notices are never delivered, and not retried either (Canvas)."},
		{Knob: NoticesNumberClientID, Area: AreaNotices, Default: On, Effect: "The notification service names the client id as a number (Canvas), another one when the id is none."},
	}
}
