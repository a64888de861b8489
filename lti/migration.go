package lti

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// Migration is what a user and a place were called under LTI 1.1 (LTI 1.3 Migration Guide).
// A field is empty where the name did not change, or was not told.
type Migration struct {
	ConsumerKey    string `json:"consumer_key"`
	UserID         string `json:"user_id,omitempty"`
	ResourceLinkID string `json:"resource_link_id,omitempty"`
	ContextID      string `json:"context_id,omitempty"`
}

// readMigration reads the lti1p1 claim. Only a platform that proves it knows the old shared
// secret is believed: otherwise anybody could take over the account of another. A claim
// that is not proven is noted and left out, and the launch goes on.
func (t *Tool) readMigration(ctx context.Context, in received, l *Launch, tr *Trace) error {
	o, is := in.token.claims.object(claimMigration)
	if is != present {
		return nil
	}
	key, signature := o.id("oauth_consumer_key"), o.id("oauth_consumer_key_sign")
	if key == "" || signature == "" {
		tr.Ignored = append(tr.Ignored, "lti1p1 without key or signature")
		return nil
	}
	secrets, err := t.deps.Store.LTI11Secrets(ctx, in.registration, key)
	if err != nil {
		return fmt.Errorf("find the LTI 1.1 secrets: %w", err)
	}
	base := migrationBase(in.token.claims, key, l)
	for _, secret := range secrets {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(base))
		if same(signature, base64.StdEncoding.EncodeToString(h.Sum(nil))) {
			l.Migrated = &Migration{
				ConsumerKey: key, UserID: o.id("user_id"), ResourceLinkID: o.id("resource_link_id"), ContextID: o.id("context_id"),
			}
			return nil
		}
	}
	tr.Ignored = append(tr.Ignored, "lti1p1 with a signature that is not of a known secret")
	return nil
}

// migrationBase is the text that is signed: key, deployment, issuer, client id, exp as it
// stands in the token, and nonce.
func migrationBase(c object, key string, l *Launch) string {
	exp, _ := c.raw("exp")
	nonce, _ := c.text("nonce")
	return strings.Join([]string{key, l.DeploymentID, l.Issuer, l.ClientID, string(exp), nonce}, "&")
}
