package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sealsmith/sealsmith"

// arrows says which trees of ours a tree may import beside itself. The longest name that
// fits a package counts. README.md draws the same picture.
var arrows = map[string][]string{
	"migrations":          {},
	"hsm":                 {},
	"lti":                 {"migrations"},
	"lti/fetch":           {},
	"lti/demolms":         {}, // a peer: a mistake of ours must not be its mistake too
	"templates":           {"migrations"},
	"grading":             {"lti", "templates", "migrations"},
	"issuance":            {"grading", "templates", "hsm", "lti/fetch", "migrations"},
	"issuance/elm":        {"templates", "hsm", "issuance/internal"},
	"issuance/jades":      {"issuance/tsp", "issuance/revocation"},
	"issuance/status":     {"issuance/jades"},
	"issuance/tsp":        {},
	"issuance/revocation": {},
	"cmd":                 {"migrations", "hsm", "lti", "templates", "grading", "issuance"},
}

// scaffolding is for tests, and what the demo needs of it for the demo.
var scaffolding = map[string][]string{
	"migrations/sqldb/sqldbtest":       {},
	"issuance/queuetest":               {},
	"issuance/artefacttest":            {},
	"issuance/s3store/s3test":          {},
	"issuance/trustlist/trustlisttest": {},
	"hsm/demotoken":                    {"cmd"},
	"hsm/democa":                       {"cmd", "hsm/demotoken"},
	"lti/demolms":                      {"cmd"},
}

// under reports whether the package is the tree's root or in it.
func under(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

func underAny(pkg string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return under(pkg, tree) })
}

// ruleFor returns the longest name in arrows that pkg is under, or "".
func ruleFor(pkg string) string {
	best := ""
	for tree := range arrows {
		if under(pkg, tree) && len(tree) > len(best) {
			best = tree
		}
	}
	return best
}

// objection says why a file must not import a package of ours, or "". External tests see
// packages from outside and may bring in what they are used with, but for commands.
func objection(from, to string, external, test bool) string {
	rule := ruleFor(from)
	switch {
	case rule == "":
		return "its tree is not in the table of arrows"
	case under(to, "cmd") && !under(from, "cmd"):
		return "nothing imports a command"
	case external:
		return ""
	case !under(to, rule) && !underAny(to, arrows[rule]):
		return rule + " may import only " + strings.Join(arrows[rule], ", ")
	}
	for tree, users := range scaffolding {
		if under(to, tree) && !under(from, tree) && !test && !underAny(from, users) {
			return tree + " is scaffolding"
		}
	}
	return ""
}

// eachFile parses every Go file of the module. It reads the files itself rather than to ask
// go list, so that the test cache sees what the result depends on.
func eachFile(t *testing.T, mode parser.Mode, do func(dir, path string, set *token.FileSet, file *ast.File)) {
	t.Helper()
	root := filepath.Join("..", "..")
	files := 0
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "var" || name == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, mode)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files++
		do(filepath.ToSlash(filepath.Dir(inside)), filepath.ToSlash(inside), set, file)
		return nil
	}))
	if files < 100 {
		t.Fatalf("only %d Go files were found", files)
	}
}

func TestArrows(t *testing.T) {
	t.Parallel()
	eachFile(t, parser.ImportsOnly, func(dir, path string, _ *token.FileSet, file *ast.File) {
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			must(t, err)
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			if why := objection(dir, to, strings.HasSuffix(file.Name.Name, "_test"), strings.HasSuffix(path, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", path, to, why)
			}
		}
	})
}

// TestObjections makes sure that the table can say no.
func TestObjections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from, to       string
		external, test bool
		refused        bool
	}{
		{from: "issuance", to: "hsm"},
		{from: "issuance", to: "lti/fetch"},
		{from: "issuance", to: "lti", refused: true},
		{from: "issuance", to: "lti", external: true, test: true},
		{from: "issuance/jades", to: "hsm", refused: true},
		{from: "issuance/jades", to: "issuance/elm", refused: true},
		{from: "hsm", to: "migrations/sqldb", refused: true},
		{from: "hsm", to: "migrations/sqldb", test: true, refused: true},
		{from: "lti/demolms", to: "lti", refused: true},
		{from: "lti", to: "lti/demolms", refused: true},
		{from: "lti/ltistore", to: "migrations/sqldb"},
		{from: "lti", to: "templates", refused: true},
		{from: "templates", to: "migrations/sqldb/sqldbtest", refused: true},
		{from: "templates", to: "migrations/sqldb/sqldbtest", external: true, test: true},
		{from: "cmd/sealsmith", to: "lti/demolms"},
		{from: "cmd/sealsmith", to: "issuance/queuetest", refused: true},
		{from: "grading", to: "cmd/sealsmith/web", external: true, test: true, refused: true},
		{from: "grading", to: "issuance", refused: true},
		{from: "helpers", to: "lti", refused: true},
	} {
		if why := objection(test.from, test.to, test.external, test.test); (why != "") != test.refused {
			t.Errorf("%+v: %q", test, why)
		}
	}
}

// TestBudgets keeps functions and files short enough to be read in one go.
func TestBudgets(t *testing.T) {
	t.Parallel()
	const functionLines, fileLines = 75, 500
	eachFile(t, parser.SkipObjectResolution, func(_, path string, set *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		if n := set.Position(file.End()).Line; n > fileLines {
			t.Errorf("%s has %d lines of %d", path, n, fileLines)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			f, is := n.(*ast.FuncDecl)
			if !is {
				return true
			}
			if lines := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; lines > functionLines {
				t.Errorf("%s: %s has %d lines of %d", path, f.Name.Name, lines, functionLines)
			}
			return true
		})
	})
}

// TestReadmeNamesDependencies: who runs the program is told what it is made of.
func TestReadmeNamesDependencies(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	must(t, err)
	manifest, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	must(t, err)
	direct := 0
	for line := range strings.Lines(string(manifest)) {
		fields := strings.Fields(line)
		if !strings.HasPrefix(line, "\t") || len(fields) < 2 || strings.Contains(line, "// indirect") {
			continue
		}
		direct++
		if !strings.Contains(string(readme), fields[0]) {
			t.Errorf("README.md does not name %s", fields[0])
		}
	}
	if direct < 10 {
		t.Errorf("only %d direct dependencies were found in go.mod", direct)
	}
}
