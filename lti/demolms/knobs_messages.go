package demolms

// Knobs of the messages besides launch and content selection, and of what is
// left of LTI 1.1.
//
//nolint:gosec // G101: names of knobs, not credentials
const (
	TokenNoForUser       Knob = "token-no-for-user"
	TokenReviewByLearner Knob = "token-review-by-learner"
	TokenPrivacyContext  Knob = "token-privacy-context"
	TokenLTI11Signature  Knob = "token-lti11-wrong-signature"
)

func messageKnobs() []KnobInfo {
	return []KnobInfo{
		{Knob: TokenNoForUser, Area: AreaIDToken, Default: On, Cases: "M44", Effect: "A submission review or data privacy launch does not say whom it is about.", alter: without(claimForUser)},
		{Knob: TokenReviewByLearner, Area: AreaIDToken, Default: On, Cases: "M45", Effect: "A submission review is asked for by a learner.", alter: func(d *draft) {
			if d.claims[claimMessageType] == string(MessageSubmissionReview) {
				d.claims[claimRoles] = []string{roleLearner}
			}
		}},
		{Knob: TokenPrivacyContext, Area: AreaIDToken, Default: On, Cases: "M46", Effect: "A data privacy launch carries a context and a resource link, which it must not.", alter: func(d *draft) {
			if d.claims[claimMessageType] == string(MessageDataPrivacy) {
				d.claims[claimContext] = map[string]any{"id": "2", "label": "C", "title": "A course"}
				d.claims[claimResourceLink] = map[string]any{"id": "1", "title": "A link"}
			}
		}},
		{Knob: TokenLTI11Signature, Area: AreaIDToken, Default: On, Cases: "M43", Effect: "The launch claims an LTI 1.1 key and another person's old id, and the key is not signed with the secret.", alter: func(d *draft) {
			m, ok := d.claims[claimMigration].(map[string]any)
			if !ok {
				m = map[string]any{"oauth_consumer_key": "old-key"}
				d.claims[claimMigration] = m
			}
			m["user_id"], m[migrationSign] = "somebody-else", "c2lnbmVkIGJ5IG5vYm9keQ=="
		}},
	}
}
