package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// TestBrowserConnections: an administrator of the LMS connects another one and finds out
// why people cannot get in, in a frame that has no clipboard.
func TestBrowserConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	s := newChrome(t)
	s.open(r.lms.Issuer() + "/as/admin?next=/admin/tool")
	s.reads(inFrame, "Templates of your organisation")
	s.click(inFrame, "Connections")
	s.reads(inFrame, "The learning platforms through which people come in.", "you came in here")
	s.picture("connections")
	s.click(inFrame, "Connect another LMS")
	s.click(inFrame, "Make an invitation")
	s.reads(inFrame, "Copy this address now", "/lti/register/")
	s.click(inFrame, "Copy")
	eventually(t, func() string {
		var page string
		if err := s.engine.eval(inFrame, `document.querySelector("[role=status]")?.textContent + getSelection().toString()`, &page); err != nil {
			return err.Error()
		}
		if !strings.Contains(page, "Copied") && !strings.Contains(page, "Selected: press Ctrl+C"+r.url+"/lti/register/") {
			return "neither copied nor selected: " + page
		}
		return ""
	})
	s.picture("invitation")
	s.click(inFrame, "I have copied it")
	s.reads(inFrame, "Made by you")

	eventually(t, func() string { // a launch is written within two seconds
		s.click(inFrame, strings.TrimPrefix(r.lms.Issuer(), "http://"))
		s.reads(inFrame, "Does it work?")
		page := s.text(inFrame)
		if !strings.Contains(page, "The last launch came in.") || !strings.Contains(page, "by our cookie") {
			s.click(inFrame, "All connections")
			s.reads(inFrame, "Open invitations")
			return page
		}
		return ""
	})
	s.click(inFrame, "Check now")
	s.reads(inFrame, "to check launches with", "Fine")
	must(t, r.lms.Set(demolms.JWKSHTML, demolms.On))
	s.click(inFrame, "Check now")
	s.reads(inFrame, "HTML", "Does not work", "What to do: Compare the key set URL")
	s.picture("check")
	r.lms.Reset()
	s.findsOut(r)
	complaints, err := s.engine.complaints()
	must(t, err)
	if complaints := strings.TrimSpace(complaints); complaints != "" && !strings.Contains(complaints, "400") {
		t.Errorf("the browser complains:\n%s", complaints)
	}
}

// findsOut reads the number from the page of a person who does not get in, and looks it up.
func (s *screen) findsOut(r *rig) {
	s.t.Helper()
	must(s.t, r.lms.Set(demolms.LoginWrongIssuer, demolms.On))
	s.open(r.lms.Issuer() + "/as/teacher?next=/course/2")
	s.click(inPage, "Add activity")
	s.click(inPage, "Select content")
	s.reads(inFrame, "Your LMS could not bring you in")
	number := regexp.MustCompile(`[0-9a-f]{4}(-[0-9a-f]{4}){3}`).FindString(s.text(inFrame))
	r.lms.Reset()
	s.open(r.lms.Issuer() + "/as/admin?next=/admin/tool")
	s.reads(inFrame, "Templates of your organisation")
	s.click(inFrame, "Connections")
	eventually(s.t, func() string { // it is written within two seconds
		s.write(inFrame, "Trace number from a person’s page", strings.ToUpper(strings.ReplaceAll(number, "-", " ")))
		s.click(inFrame, "Find")
		s.reads(inFrame, "Trace number")
		page := s.text(inFrame)
		if !strings.Contains(page, "Step by step") {
			return page
		}
		return ""
	})
	s.reads(inFrame, "differs from the registered one only by a slash at the end: the platform says \""+r.lms.Issuer()+"/\". Register it exactly so.")
	s.picture("trace")
}

// text is what can be read just now.
func (s *screen) text(at place) string {
	s.t.Helper()
	var text string
	s.ask(at, `document.body.innerText`, &text)
	return text
}
