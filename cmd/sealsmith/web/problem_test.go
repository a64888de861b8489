package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/grading"
	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/templates"
)

// unreachable are the errors that are never the answer to a request, each with its reason;
// a package alone means all of its errors.
// Should one arrive all the same, it is an internal problem.
var unreachable = map[string]string{
	"lti.KeySetError":                "is the cause of a CheckError",
	"lti.RotatingError":              "for the operator's command",
	"lti/ltistore.ErrTaken":          "for the operator's command",
	"lti.ErrTaken":                   "becomes a refusal of the registration",
	"lti.ErrInvitationUsed":          "becomes a refusal of the registration",
	"lti.ErrInvitationExpired":       "becomes a refusal of the registration",
	"migrations/sqldb.ErrAddress":    "for the operator's command",
	"issuance/redisqueue.ErrAddress": "for the operator's command",
	"issuance/s3store":               "for the operator's command",
	"issuance.ErrNoObject":           "becomes issuance.ErrFileDamaged",
	"migrations/sqldb.ErrNewer":      "for the operator's command",
	"issuance.ErrRestored":           "for the operator: log, readyz and command",
	"migrations/sqldb.ErrOlder":      "for the operator's command",
	"hsm.PausedError":                "is hsm.ErrPaused",
	"hsm.ErrPINBlocked":              "for the operator's command",
	"hsm.ErrURI":                     "for the operator's command",
	"hsm.ErrPIN":                     "for the operator's command",
	"hsm/ceremony":                   "for the operator's command",
	"hsm/democa":                     "for the demo and for tests",
	"issuance/trustlist":             "for the operator's command",
	"issuance/tsp":                   "the preserver keeps it with the credential; for a PDF it becomes pdf.ErrStamp",
	"issuance/revocation":            "the preserver keeps it with the credential",
	"issuance/kit":                   "for the operator's command",
	"issuance/status":                "for readers of lists, who are not browsers",
	"issuance/jades.ErrAugment":      "the preserver keeps it with the credential",
	"issuance/jades.ErrToken":        "the preserver keeps it with the credential",
	"issuance/jades.ErrContent":      "the worker keeps it with the claim",
	"issuance/jades.ErrKey":          "the worker keeps it with the claim",
	"issuance/jades.ErrBadSignature": "the worker keeps it with the claim",
	"issuance/jades.ErrUnreadable":   "becomes a check of issuance.Verify",
	"issuance/elm.ErrNotCredential":  "becomes a check of issuance.Verify",
	"issuance/jades.ErrEmpty":        "becomes a check of issuance.Verify",
	"issuance/jades.ErrTooLarge":     "becomes a check of issuance.Verify",
	"issuance/jades.ErrOtherFormat":  "becomes a check of issuance.Verify",
	"issuance/jades.ErrNotText":      "becomes a check of issuance.Verify",
	"issuance/jades.ErrNotSealed":    "becomes a check of issuance.Verify",
	"issuance/jades.ErrMalformed":    "becomes a check of issuance.Verify",
	"issuance/jades.UnreadableError": "becomes a check of issuance.Verify",
}

// TestEveryErrorIsInTheTable parses all packages: an exported Err… or error type that
// neither problem.go nor the list above names is a case nobody has thought of.
func TestEveryErrorIsInTheTable(t *testing.T) {
	t.Parallel()
	known := named(t, "problem.go")
	found := 0
	for _, tree := range []string{"lti", "grading", "issuance", "hsm", "templates", "migrations"} {
		err := filepath.WalkDir(filepath.Join("../../..", tree), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && slices.Contains([]string{"testdata", "internal", "demolms", "demotoken"}, d.Name()) {
				return fs.SkipDir // other programs, or nothing that others can name
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			pkg, err := filepath.Rel("../../..", filepath.Dir(path))
			must(t, err)
			pkg = filepath.ToSlash(pkg)
			for _, name := range exportedErrors(t, path) {
				found++
				full := pkg + "." + name
				if !known[full] && unreachable[full] == "" && unreachable[pkg] == "" {
					t.Errorf("%s is in no row of problem.go", full)
				}
			}
			return nil
		})
		must(t, err)
	}
	if found < 20 {
		t.Errorf("only %d errors were found: the test looks in the wrong place", found)
	}
}

// exportedErrors are the variables Err… and the types with a method Error of a file.
func exportedErrors(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	must(t, err)
	var names []string
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR && strings.HasPrefix(v.Names[0].Name, "Err") {
					names = append(names, v.Names[0].Name)
				}
			}
		case *ast.FuncDecl:
			if d.Recv == nil || d.Name.Name != "Error" {
				continue
			}
			receiver := d.Recv.List[0].Type
			if star, ok := receiver.(*ast.StarExpr); ok {
				receiver = star.X
			}
			if id, ok := receiver.(*ast.Ident); ok && id.IsExported() {
				names = append(names, id.Name)
			}
		}
	}
	return names
}

// named are the names of our packages that a file uses, as "grading/agsresults.ErrNoColumn".
func named(t *testing.T, path string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	must(t, err)
	packages := map[string]string{}
	for _, imported := range file.Imports {
		if full, ours := strings.CutPrefix(strings.Trim(imported.Path.Value, `"`), "github.com/sealsmith/sealsmith/"); ours {
			packages[filepath.Base(full)] = full
		}
	}
	names := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok && packages[id.Name] != "" {
				names[packages[id.Name]+"."+s.Sel.Name] = true
			}
		}
		return true
	})
	return names
}

// refused sends err through the page of problems, as package lti does.
func refused(t *testing.T, accept string, err error) *httptest.ResponseRecorder {
	t.Helper()
	w := newWorld(t)
	w.router.HandleFunc("/lti/launch", func(out http.ResponseWriter, r *http.Request) { w.pages.Problem(out, r, err) })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/lti/launch", nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Origin", "https://moodle.polder.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site") // the platform posts from its own site
	return w.do(r)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	check := func(code string, status int, advice string, cause error) error {
		return fmt.Errorf("launch: %w", &lti.CheckError{Code: code, Status: status, Advice: advice, Received: "<b>x</b>"})
	}
	tests := []struct {
		name   string
		err    error
		status int
		kind   string
		say    string
	}{
		{"unknown", errors.New("pq: password SECRET is wrong"), 500, "internal", "Something went wrong on this server."},
		{"check of a launch", check("nonce-mismatch", 401, "Open the activity again, please.", nil), 401, "launch", "Open the activity again, please."},
		{"keys away", check("keys-unavailable", 503, "Wait half a minute.", nil), 503, "launch", "Wait half a minute."},
		{"cookie lost", fmt.Errorf("x: %w", lti.ErrCookieLost), 401, "cookie-lost", "Open moodle.polder.example in a new window"},
		{"session", lti.ErrNoSession, 401, "no-session", "One more click"},
		{"template", templates.ErrNotFound, 404, "not-found", "There is nothing at this address"},
		{"attachment", grading.ErrNotFound, 404, "not-attached", "open the activity yourself"},
		{"grades", &grading.SourceError{Err: &lti.ServiceError{Reason: lti.ReasonBusy}}, 502, "grades-unread", "busy or under maintenance"},
		{"claim", issuance.ErrState, 409, "moved-on", "This has moved on"},
		{"template form", templates.Problems{{Field: "title", Sentence: "write it"}}, 422, "form", "Something in the form cannot be used"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := refused(t, "text/html", test.err)
			want(t, got, test.status)
			says(t, got, test.say, got.Header().Get("X-Request-Id"))
			silent(t, got, "SECRET", "<b>x</b>")

			got = refused(t, "application/json", test.err)
			want(t, got, test.status)
			if c := got.Header().Get("Content-Type"); c != "application/problem+json" {
				t.Errorf("Content-Type %q", c)
			}
			var doc struct {
				Type, Title, Detail, Instance string
				Status                        int
			}
			must(t, json.Unmarshal(got.Body.Bytes(), &doc))
			if doc.Type != origin+"/problems/"+test.kind || doc.Status != test.status || doc.Instance != got.Header().Get("X-Request-Id") || doc.Title == "" || doc.Detail == "" {
				t.Errorf("document %+v", doc)
			}
			silent(t, got, "SECRET")
		})
	}
}

func TestPanicBecomesAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.router.HandleFunc("/boom", func(http.ResponseWriter, *http.Request) { panic("boom SECRET") })
	got := w.get("/boom")
	want(t, got, http.StatusInternalServerError)
	says(t, got, "That did not work", got.Header().Get("X-Request-Id"))
	silent(t, got, "SECRET")
	if log := w.log.String(); !strings.Contains(log, "handler panicked") || !strings.Contains(log, got.Header().Get("X-Request-Id")) {
		t.Errorf("log %s", log)
	}
}

// TestLog: one line per request, with the route and without anything about a person.
func TestLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, link := w.sealed()
	w.log.Reset()
	b.get("learn?name=Maija")
	w.get("/c/" + link + "?secret=1")
	w.get("/nothing?secret=1")
	lines := strings.Split(strings.TrimSpace(w.log.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), w.log)
	}
	for i, route := range []string{"/s/{sid}/learn", "/c/{link}", ""} {
		var line struct {
			Msg, Method, Route, Problem string
			Status                      int
			RequestID                   string `json:"request_id"`
		}
		must(t, json.Unmarshal([]byte(lines[i]), &line))
		if line.Msg != "request answered" || line.Route != route || line.Method != "GET" || len(line.RequestID) != 19 {
			t.Errorf("line %s", lines[i])
		}
	}
	for _, bad := range []string{"Maija", "Meik", "secret", link, b.sid, b.cookie.Value} {
		if strings.Contains(w.log.String(), bad) {
			t.Errorf("the log contains %q", bad)
		}
	}
}

func TestDepsAreRequired(t *testing.T) {
	t.Parallel()
	if _, err := web.New(web.Deps{}); err == nil {
		t.Error("a Web without anything was made")
	}
}
