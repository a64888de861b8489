package main

import (
	"crypto/rand"
	"net/http"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/lti"
)

// registrar registers this tool with platforms that were invited.
func (a *app) registrar(client func(lti.Registration) *http.Client, pages *web.Web) (*lti.Registrar, error) {
	return lti.NewRegistrar(lti.RegistrarDeps{
		PublicURL: a.public, HTTP: client, Rand: rand.Reader, Logger: a.logger, Invitations: a.lti,
		Page: pages.Registered, Problem: pages.Problem,
		Tool: lti.ToolDescription{
			Name: map[string]string{
				"en": "Sealsmith micro-credentials",
				"nl": "Sealsmith-microcredentials",
				"de": "Sealsmith-Micro-Credentials",
				"fi": "Sealsmith – pienet osaamiskokonaisuudet",
				"lt": "„Sealsmith“ mikrokredencialai",
			},
			AttachLabel: map[string]string{
				"en": "Micro-credential", "nl": "Microcredential", "de": "Micro-Credential", "fi": "Pieni osaamiskokonaisuus", "lt": "Mikrokredencialas",
			},
			Description: "Attaches sealed micro-credentials to courses, which learners claim when they have completed them.",
			// Static files answer under any version; this one shall stay what it is.
			LogoURL: a.public.JoinPath("static", "0", "img", "mark.svg").String(),
		},
	})
}
