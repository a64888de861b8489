package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/lti"
)

// TestRoles walks every page of a session with every role. Templates are named by an id
// of the house, so that a 404 can only come from the role or the tenant.
func TestRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x := w.askedCorrection()
	_, attached := w.attach(w.polder, "x", roleLearner)
	w.traced(w.polder.reg, lti.Trace{ID: "step", Kind: lti.TraceLaunch})
	w.sealed()
	kept := w.onlyCredential()
	as := func(roles ...string) browser {
		l := attached
		l.Roles = roles
		l.User.Subject = strings.Join(roles, "")
		return w.enter(l)
	}
	people := []struct {
		name string
		b    browser
		may  string // pages that open
	}{
		{"learner", as(roleLearner), "learn"},
		{"test user", as(roleTestUser, roleLearner, roleTeacher, roleAdmin), "learn"},
		{"teacher", as(roleTeacher), "class"},
		{"teacher who learns, too", as(roleTeacher, roleLearner), "class"},
		{"administrator", as(roleAdmin), connectionPages + " " + staffPages + " " + correctionPages + " seal templates templates/new templates/ID"},
		{"administrator who teaches", as(roleAdmin, roleTeacher), connectionPages + " " + staffPages + " " + correctionPages + " seal class templates templates/new templates/ID"},
		{"mentor", as(roleMentor), ""},
		{"nobody", as(), ""},
		{"choosing teacher", w.enter(w.polder.choosing("t", roleTeacher)), "pick see?template=ID rule?template=ID"},
		{"choosing administrator", w.enter(w.polder.choosing("t", roleAdmin)), connectionPages + " " + staffPages + " " + correctionPages + " seal pick see?template=ID rule?template=ID templates templates/new templates/ID"},
		{"choosing learner", w.enter(w.polder.choosing("t", roleLearner)), ""},
	}
	pages := append([]string{"learn", "seal", "class", "templates", "templates/new", "templates/ID", "pick", "see?template=ID", "rule?template=ID"}, strings.Fields(connectionPages+" "+staffPages+" "+correctionPages)...)
	for _, who := range people {
		for _, page := range pages {
			t.Run(who.name+" "+page, func(t *testing.T) {
				t.Parallel()
				status := http.StatusForbidden
				if strings.HasPrefix(who.name, "teacher") || strings.HasSuffix(who.name, "who teaches") {
					switch page {
					case "pick", "see?template=ID", "rule?template=ID":
						status = http.StatusSeeOther // it is chosen already: to the class
					}
				}
				for may := range strings.FieldsSeq(who.may) {
					if may == page {
						status = http.StatusOK
					}
				}
				address := strings.NewReplacer("KEPT", kept, "VERSION", w.polder.version.ID, "ID", w.polder.version.TemplateID, "REG", w.polder.reg.ID, "COR", x.ID).Replace(page)
				want(t, who.b.get(address), status)
			})
		}
	}
	connection := "connections/" + w.polder.reg.ID
	for _, post := range []string{
		"attach", "cancel", "read", "claim", "templates/new", "templates/" + w.polder.version.TemplateID, "connections/new", "connections/new/moodle",
		"connections/invitations/x/withdraw", connection + "/status", connection + "/approve", connection + "/notices", connection + "/check", connection + "/addresses",
		"seal/pause", "seal/resume", "seal/retry", "seal/drop",
		"name", "name/back", "corrections/new", "corrections/" + x.ID + "/confirm", "corrections/" + x.ID + "/decline", "corrections/" + x.ID + "/again", "corrections/" + x.ID + "/end",
		"credentials/" + kept + "/preview", "credentials/" + kept + "/act", "credentials/revoke", "credentials/orders/x/confirm", "credentials/orders/x/decline", "credentials/orders/x/withdraw",
	} {
		t.Run("mentor posts "+post, func(t *testing.T) {
			t.Parallel()
			want(t, people[6].b.post(post, url.Values{"family": {"X"}}), http.StatusForbidden)
		})
		if slices.ContainsFunc([]string{"connections", "credentials", "corrections", "seal/"}, func(at string) bool { return strings.HasPrefix(post, at) }) {
			t.Run("teacher posts "+post, func(t *testing.T) {
				t.Parallel()
				want(t, people[2].b.post(post, url.Values{"to": {"paused"}}), http.StatusForbidden)
			})
		}
	}
}

// staffPages are the pages about credentials, KEPT being one of them.
const staffPages = "credentials credentials/orders credentials/KEPT credentials/revoke?version=VERSION"

// correctionPages are the pages about corrections of names, COR being one of them.
const correctionPages = "corrections corrections/new corrections/COR"

// connectionPages are the pages about connections, REG being one of them.
const connectionPages = "connections connections/new connections/new/moodle connections/REG connections/REG/addresses connections/REG/launches/step"

func TestHomeSendsEverybodyToTheirPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, attached := w.attach(w.polder, "x", roleLearner)
	with := func(l lti.Launch, roles ...string) lti.Launch { l.Roles = roles; return l }
	bare := w.polder.launch("x")
	bare.ResourceLink.ID = "link-2"
	tests := []struct {
		name   string
		launch lti.Launch
		page   string // empty: a problem
		status int
	}{
		{"teacher who chooses", w.polder.choosing("t", roleTeacher), "pick", 303},
		{"teacher", with(attached, roleTeacher), "class", 303},
		{"learner", with(attached, roleLearner), "learn", 303},
		{"test user", with(attached, roleTestUser, roleTeacher), "learn", 303},
		{"administrator", with(bare, roleAdmin), "templates", 303},
		{"administrator who teaches an activity", with(attached, roleAdmin, roleTeacher), "class", 303},
		{"administrator who teaches, nothing attached", with(bare, roleAdmin, roleTeacher), "templates", 303},
		{"teacher, nothing attached", with(bare, roleTeacher), "pick", 303},
		{"mentor", with(attached, roleMentor), "", 403},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := w.enter(test.launch)
			got := b.get("")
			want(t, got, test.status)
			if test.page != "" && got.Header().Get("Location") != b.path(test.page) {
				t.Errorf("sent to %q", got.Header().Get("Location"))
			}
		})
	}
}

// TestTenancy: what belongs to another organisation or platform does not exist.
func TestTenancy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, ours := w.attach(w.polder, "learner-1", roleLearner)

	foreign := w.fjord.launch("learner-1", roleLearner)
	foreign.Custom = ours.Custom
	got := w.enter(foreign).get("learn")
	want(t, got, http.StatusNotFound)
	says(t, got, "This activity leads to no micro-credential yet")

	other := ours
	other.Context.ID = "another course"
	want(t, w.enter(other).get("learn"), http.StatusConflict) // a copy, which no teacher has confirmed
	elsewhere := ours
	elsewhere.DeploymentID = "another deployment"
	want(t, w.enter(elsewhere).get("learn"), http.StatusNotFound)

	admin := w.enter(w.fjord.launch("boss", roleAdmin))
	want(t, admin.get("templates/"+w.polder.version.TemplateID), http.StatusNotFound)
	want(t, admin.post("templates/"+w.polder.version.TemplateID, url.Values{"version": {"1"}}), http.StatusNotFound)
	chooser := w.enter(w.fjord.choosing("t", roleTeacher))
	want(t, chooser.get("see?template="+w.polder.version.TemplateID), http.StatusNotFound)
	want(t, chooser.get("rule?template="+w.polder.version.TemplateID), http.StatusNotFound)
	want(t, chooser.post("attach", url.Values{"version": {w.polder.version.ID}, "percent": {"55"}}), http.StatusNotFound)

	// A second registration of the same organisation reads nothing of the first.
	reg, err := w.store.AddRegistration(t.Context(), lti.Registration{
		OrganisationID: w.polder.org.ID, Name: "second", Issuer: "https://second.example",
		ClientID: "c", AuthURL: "https://second.example/a", TokenURL: "https://second.example/t", JWKSURL: "https://second.example/k", Deployments: []string{"1"},
	})
	must(t, err)
	second := ours
	second.RegistrationID = reg.ID
	want(t, w.enter(second).get("learn"), http.StatusNotFound)
	second.Roles = []string{roleTeacher}
	want(t, w.enter(second).get("class"), http.StatusNotFound)
	if _, err := w.grading.Attachment(t.Context(), w.polder.org.ID, a.ID); err != nil {
		t.Error(err)
	}
}

// TestSessionNeedsItsCookie: the id in the address opens nothing.
func TestSessionNeedsItsCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, l := w.attach(w.polder, "learner-1", roleLearner)
	b, thief := w.enter(l), w.enter(w.polder.launch("other", roleLearner))
	wrong := *b.cookie
	wrong.Value = thief.cookie.Value
	for name, cookie := range map[string]*http.Cookie{"none": nil, "of another session": thief.cookie, "wrong secret": &wrong} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, origin+b.path("learn"), nil)
			if cookie != nil {
				r.AddCookie(cookie)
			}
			got := w.do(r)
			want(t, got, http.StatusUnauthorized)
			says(t, got, "One more click", "Open in a new window", "Open the activity from there.")
			silent(t, got, "Polder", "learner-1")
			if csp := got.Header().Get("Content-Security-Policy"); strings.Contains(csp, "frame-ancestors") {
				t.Errorf("the page cannot be shown in the LMS: %s", csp)
			}
		})
	}
	want(t, w.get("/s/nonsense/learn"), http.StatusUnauthorized)
}
