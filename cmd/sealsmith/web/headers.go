package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/lti"
)

// secure sets the headers that every answer has. Pages that are shown in a frame replace
// the policy, see allowFrames.
func (s *Web) secure(h http.Header, r *http.Request) {
	ancestors := []string{"'none'"}
	if inFrame(r) {
		// Before the session is known nobody can say which platform shows us. What can
		// appear here then is a page without data and without anything to press.
		ancestors = nil
	}
	h.Set("Content-Security-Policy", policy(ancestors, nil))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()")
	if !inFrame(r) {
		// A platform that opens us in a window needs its opener again when we return to it.
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if s.deps.PublicURL.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// inFrame reports whether the page is one that platforms show in a frame.
func inFrame(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/s/") || strings.HasPrefix(r.URL.Path, "/lti/")
}

// policy is the Content-Security-Policy: everything from here and nothing inline.
// ancestors may show the page in a frame, nil: anybody; forms lists further origins to
// which the page may post.
func policy(ancestors, forms []string) string {
	directives := []string{
		"default-src 'none'", "style-src 'self'", "script-src 'self'", "img-src 'self' data:", "font-src 'self'",
		"connect-src 'self'", "base-uri 'none'", "form-action " + strings.Join(append([]string{"'self'"}, forms...), " "),
	}
	if ancestors != nil {
		directives = append(directives, "frame-ancestors "+strings.Join(ancestors, " "))
	}
	return strings.Join(directives, "; ")
}

// platformOrigins are the origins from which the platform of a launch shows pages: those
// of its registered addresses, and those of the addresses it told in the launch, which are
// on its hosts.
func platformOrigins(reg lti.Registration, l lti.Launch) []string {
	addresses := []string{reg.Issuer, reg.AuthURL, reg.TokenURL, reg.JWKSURL, l.Presentation.ReturnURL}
	if l.DeepLinking != nil {
		addresses = append(addresses, l.DeepLinking.ReturnURL)
	}
	var origins []string
	for _, address := range addresses {
		if o := origin(address); o != "" && !slices.Contains(origins, o) {
			origins = append(origins, o)
		}
	}
	// The pages of a cloud are on hosts of its customers, and none of the registered addresses is.
	for _, host := range reg.Hosts() {
		if rest, below := strings.CutPrefix(host, "."); below {
			host = "*." + rest
		}
		if o := "https://" + host; !slices.Contains(origins, o) {
			origins = append(origins, o)
		}
	}
	return origins
}

// origin returns scheme and host of a web address in a form fit for a policy, or "".
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.ContainsAny(u.Host, " ;,'\"*") {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
