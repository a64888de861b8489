package lti

import (
	"fmt"
	"net/http"
)

// canvasPlacements are the places of Canvas where teachers choose content. There is none
// for course navigation: an activity leads to one credential, and a link of the whole
// course leads to nothing.
var canvasPlacements = []string{"assignment_selection", "link_selection"}

// config serves the configuration by which an administrator of Canvas adds the tool from
// an address or by pasting (Canvas, "LTI developer key configuration"; JSON, not the XML
// of LTI 1.1). It tells nothing that is not public, and is the same for everybody.
func (g *Registrar) config(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		g.deps.Problem(w, r, refuse(CodeMethod, "GET", r.Method))
		return
	}
	body, err := marshal(g.canvasConfiguration())
	if err != nil {
		g.deps.Problem(w, r, fmt.Errorf("write the configuration for Canvas: %w", err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(body); err != nil {
		g.deps.Logger.DebugContext(r.Context(), "client left before the configuration was written", "err", err)
	}
}

func (g *Registrar) canvasConfiguration() map[string]any {
	t := g.deps.Tool
	a := AddressesOf(g.deps.PublicURL, "")
	places := make([]map[string]any, 0, len(canvasPlacements))
	for _, place := range canvasPlacements {
		places = append(places, map[string]any{
			"placement": place, "enabled": true, "message_type": MessageDeepLinking, "target_link_uri": a.Launch, "text": t.AttachLabel["en"],
		})
	}
	settings := map[string]any{"text": t.Name["en"], "placements": places}
	if t.LogoURL != "" {
		settings["icon_url"] = t.LogoURL
	}
	variables := make([]string, 0, len(wantedParameters))
	for _, p := range wantedParameters {
		variables = append(variables, p.variable)
	}
	return map[string]any{
		"title":               t.Name["en"],
		"description":         t.Description,
		"target_link_uri":     a.Launch,
		"oidc_initiation_url": a.Login,
		"public_jwk_url":      a.Keys,
		"scopes":              wantedScopes,
		// Canvas leaves a variable it does not know as it is, which a launch reads as absent.
		"custom_fields": parametersOf(variables),
		"extensions": []map[string]any{{
			"platform": "canvas.instructure.com", "domain": g.deps.PublicURL.Host, "tool_id": toolID, "privacy_level": "public", "settings": settings,
		}},
	}
}
