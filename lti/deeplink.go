package lti

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// ContentItem is one thing given back to the platform (Deep Linking 2.0, section 3).
type ContentItem struct {
	Type     string            `json:"type"` // ItemResourceLink
	URL      string            `json:"url"`  // address of the tool without a varying query; what varies goes into Custom
	Title    string            `json:"title,omitempty"`
	Text     string            `json:"text,omitempty"`
	Custom   map[string]string `json:"custom,omitempty"`
	LineItem *ItemLineItem     `json:"lineItem,omitempty"`
}

// ItemLineItem asks the platform for a line item that belongs to the new resource link.
type ItemLineItem struct {
	Label        string  `json:"label,omitempty"`
	ScoreMaximum float64 `json:"scoreMaximum"` // > 0
	ResourceID   string  `json:"resourceId,omitempty"`
	Tag          string  `json:"tag,omitempty"`
}

// ItemResourceLink is the type of an activity that launches the tool.
const ItemResourceLink = "ltiResourceLink"

// responseLifetime is how long the platform may take to accept the response.
const responseLifetime = 300

// DeepLinkingResponse signs the answer to the deep linking request that began s (Deep
// Linking 2.0, section 4.5): the page posts the JWT to returnURL as the field "JWT". No
// items is a valid answer, and the one to give when the teacher cancels: without an answer
// the platform's dialogue hangs. message is plain text for the teacher, or empty. A line
// item is left out where the platform said that it takes none. It may be called again for
// the same session; each call signs anew.
//
// Items that the platform would refuse are a *CheckError.
func (t *Tool) DeepLinkingResponse(ctx context.Context, s Session, items []ContentItem, message string) (returnURL, jwt string, err error) {
	settings := s.Launch.DeepLinking
	if settings == nil {
		return "", "", refuse(CodeNotDeepLinking, MessageDeepLinking, s.Launch.MessageType)
	}
	accepted, err := acceptedItems(*settings, items)
	if err != nil {
		return "", "", err
	}
	nonce, err := randomText(t.deps.Rand, 16)
	if err != nil {
		return "", "", fmt.Errorf("make a nonce: %w", err)
	}
	now := t.deps.Now().Unix()
	claims := map[string]any{
		"iss":                              s.Launch.ClientID,
		"aud":                              s.Launch.Issuer,
		"iat":                              now,
		"exp":                              now + responseLifetime,
		"nonce":                            nonce,
		claimMessageType:                   "LtiDeepLinkingResponse",
		claimVersion:                       ltiVersion,
		claimDeployment:                    s.Launch.DeploymentID,
		claimDeepLinking + "content_items": accepted,
	}
	if settings.Data != nil {
		claims[claimDeepLinking+"data"] = json.RawMessage(*settings.Data)
	}
	if message != "" {
		claims[claimDeepLinking+"msg"] = message
	}
	jwt, err = t.keys.sign(ctx, claims)
	if err != nil {
		return "", "", fmt.Errorf("sign the deep linking response: %w", err)
	}
	return settings.ReturnURL, jwt, nil
}

// acceptedItems checks the items against the settings and returns what is sent; never nil,
// because an empty list has to be written as [].
func acceptedItems(settings DeepLinkingSettings, items []ContentItem) ([]ContentItem, error) {
	if len(items) > 1 && (settings.AcceptMultiple == nil || !*settings.AcceptMultiple) {
		return nil, refuse(CodeItemCount, "1", fmt.Sprint(len(items)))
	}
	accepted := make([]ContentItem, 0, len(items))
	for _, item := range items {
		if !slices.Contains(settings.AcceptTypes, item.Type) {
			return nil, refuse(CodeItemType, fmt.Sprint(settings.AcceptTypes), item.Type)
		}
		if err := validateURL("the address of the item", item.URL); err != nil {
			return nil, refuse(CodeItemInvalid, "", "").because(err)
		}
		if settings.AcceptLineItem != nil && !*settings.AcceptLineItem {
			item.LineItem = nil
		}
		if item.LineItem != nil && !(item.LineItem.ScoreMaximum > 0) {
			return nil, refuse(CodeItemInvalid, "a maximum above 0", fmt.Sprint(item.LineItem.ScoreMaximum))
		}
		accepted = append(accepted, item)
	}
	return accepted, nil
}

// randomText returns n random bytes as base64url: platforms clean other characters out of
// state and nonce (Moodle strips what looks like markup).
func randomText(rand io.Reader, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(rand, b); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
