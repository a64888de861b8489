package lti

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// ContentItem is one thing given back to the platform (Deep Linking 2.0, section 3).
type ContentItem struct {
	Type     string            `json:"type"` // ItemResourceLink
	URL      string            `json:"url"`  // address of the tool without a varying query; what varies goes into Custom
	Title    string            `json:"title,omitempty"`
	Text     string            `json:"text,omitempty"`
	Custom   map[string]string `json:"custom,omitempty"`
	LineItem *ItemLineItem     `json:"lineItem,omitempty"`
	// Icon and Thumbnail are pictures on the tool's own addresses; Window and Frame are how
	// the tool would like to be shown. Moodle takes the icon and drops the rest.
	Icon      *ItemImage  `json:"icon,omitempty"`
	Thumbnail *ItemImage  `json:"thumbnail,omitempty"`
	Window    *ItemWindow `json:"window,omitempty"`
	Frame     *ItemFrame  `json:"iframe,omitempty"`
	// Available and Submission are when the activity can be opened and handed in.
	Available  *ItemPeriod `json:"available,omitempty"`
	Submission *ItemPeriod `json:"submission,omitempty"`
}

// ItemImage is a picture of an item; width and height are in pixels, 0: not said.
type ItemImage struct {
	URL    string `json:"url"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
}

// ItemWindow asks for a window of its own; width and height are in pixels, 0: not said.
type ItemWindow struct {
	TargetName string `json:"targetName,omitempty"`
	Width      int    `json:"width,omitempty"`
	Height     int    `json:"height,omitempty"`
}

// ItemFrame asks for a frame of this size, in pixels; 0: not said.
type ItemFrame struct {
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
}

// ItemPeriod is a time from Start to End; a zero time: open.
type ItemPeriod struct {
	Start time.Time `json:"startDateTime,omitzero"`
	End   time.Time `json:"endDateTime,omitzero"`
}

// ItemLineItem asks the platform for a line item that belongs to the new resource link.
type ItemLineItem struct {
	Label        string  `json:"label,omitempty"`
	ScoreMaximum float64 `json:"scoreMaximum"` // > 0
	ResourceID   string  `json:"resourceId,omitempty"`
	Tag          string  `json:"tag,omitempty"`
	// GradesReleased says whether learners see grades as soon as they are given; nil: not said.
	GradesReleased *bool `json:"gradesReleased,omitempty"`
	// SubmissionReview lets teachers open the tool from a grade; nil: they cannot.
	SubmissionReview *SubmissionReview `json:"submissionReview,omitempty"`
}

// DeepLinkingReply is what is given back to the platform. No items is a valid reply, and
// the one to give when the teacher cancels: without one the platform's dialogue hangs.
type DeepLinkingReply struct {
	Items []ContentItem
	// Message and ErrorMessage are plain text that the platform may show to the teacher; Log
	// and ErrorLog are for its log. Moodle shows neither: tell people before returning.
	Message, ErrorMessage, Log, ErrorLog string
}

// ItemResourceLink is the type of an activity that launches the tool.
const ItemResourceLink = "ltiResourceLink"

// responseLifetime is how long the platform may take to accept the response.
const responseLifetime = 300

// DeepLinkingResponse signs the answer to the deep linking request that began s (Deep
// Linking 2.0, section 4.5): the page posts the JWT to returnURL as the field "JWT". A line
// item is left out where the platform said that it takes none. It may be called again for
// the same session; each call signs anew.
//
// Items that the platform would refuse are a *CheckError.
func (t *Tool) DeepLinkingResponse(ctx context.Context, s Session, reply DeepLinkingReply) (returnURL, jwt string, err error) {
	settings := s.Launch.DeepLinking
	if settings == nil {
		return "", "", refuse(CodeNotDeepLinking, MessageDeepLinking, s.Launch.MessageType)
	}
	accepted, err := acceptedItems(*settings, reply.Items)
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
	for name, text := range map[string]string{"msg": reply.Message, "errormsg": reply.ErrorMessage, "log": reply.Log, "errorlog": reply.ErrorLog} {
		if text != "" {
			claims[claimDeepLinking+name] = text
		}
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
		for _, image := range []*ItemImage{item.Icon, item.Thumbnail} {
			if image != nil && validateURL("the picture of the item", image.URL) != nil {
				return nil, refuse(CodeItemInvalid, "an address of the picture", image.URL)
			}
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
