package lti

// ExpectNonce makes the tool expect this nonce in every login: recorded launches carry
// theirs.
func (t *Tool) ExpectNonce(nonce string) { t.nonceOf = func(loginState) string { return nonce } }
