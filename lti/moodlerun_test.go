package lti_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// TestMoodleRun replays what a real Moodle answered to this tool on 24 November 2026. The
// replay knows those requests only, with their exact path, query and media type.
func TestMoodleRun(t *testing.T) {
	t.Parallel()
	base, _ := moodleServices(t, "token-ok-all-scopes", "sealsmith-lineitem-for-formula", "sealsmith-results-formula",
		"sealsmith-score-claimed", "sealsmith-results-claimed", "sealsmith-nrps-members")
	s, reg := newServices(t, base+"/mod/lti/token.php")
	reg.ProductFamily = "moodle"
	services := base + "/mod/lti/services.php/"

	// A column of our own, bound to the link, which takes a formula; the activity's does not.
	var asked lti.LineItem
	sent := readCapture[struct {
		Request struct {
			Body string `json:"body_text"`
		}
	}](t, "sealsmith-lineitem-for-formula")
	if err := json.Unmarshal([]byte(sent.Request.Body), &asked); err != nil {
		t.Fatal(err)
	}
	column, err := s.CreateLineItem(t.Context(), reg, services+"2/lineitems?type_id=6", asked)
	if err != nil || column.ID != services+"2/lineitems/74/lineitem?type_id=6" || column.ResourceID != asked.ResourceID || column.ResourceLinkID != "33" {
		t.Errorf("column %+v, %v", column, err)
	}
	// What the formula makes of the source is read as any grade; who has none is left out.
	results, err := s.Results(t.Context(), reg, column.ID, "")
	if err != nil || len(results) != 2 || results[0].Score == nil || *results[0].Score != 80 || results[0].Maximum != 100 {
		t.Errorf("results %+v, %v", results, err)
	}
	one := 1.0
	claimed := services + "2/lineitems/75/lineitem?type_id=6"
	stamp, err := s.PostScore(t.Context(), reg, claimed, lti.Score{
		UserID: "4", ScoreGiven: &one, ScoreMaximum: 1, ActivityProgress: lti.ActivityCompleted, GradingProgress: lti.GradingFull,
	}, time.Time{})
	if err != nil || stamp.IsZero() {
		t.Errorf("score: %v, %v", stamp, err)
	}
	if results, err := s.Results(t.Context(), reg, claimed, "4"); err != nil || len(results) != 1 || *results[0].Score != 1 || results[0].Maximum != 1 {
		t.Errorf("read back %+v, %v", results, err)
	}
	roster, err := s.Members(t.Context(), reg, services+"CourseSection/2/bindings/6/memberships", lti.MemberQuery{})
	if err != nil || len(roster.Members) != 3 || roster.Context.Label != "MC101" {
		t.Fatalf("roster %+v, %v", roster, err)
	}
	for _, m := range roster.Members {
		if m.Name == "" || m.IsTeacher() == m.IsLearner() || m.IsTeacher() != (m.UserID == "3") {
			t.Errorf("member %s: %q, roles %v", m.UserID, m.Name, m.Roles)
		}
	}
}
