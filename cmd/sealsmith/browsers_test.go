package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sealsmith/sealsmith/issuance/pdf"
)

// screen is a real browser with a person before it, who looks for words, clicks where they
// stand and types; scripts only find the words.
type screen struct {
	t         *testing.T
	engine    engine
	pictures  string
	number    int
	downloads string
}

// engine is what chrome and firefox know to do.
type engine interface {
	open(address string) error
	eval(at place, script string, result any) error // runs a script beside those of the page
	press(at place, where spot) error               // by the mouse
	enter(at place, text string) error              // into the field that has the focus
	choose(selector, file string) error             // a file to upload from the page
	picture(at place) ([]byte, error)               // a PNG
	complaints() (string, error)                    // what the developer tools showed in red since the last time
	addresses() (string, error)                     // what was asked for since the last time, one a line
	shut() error                                    // closes the windows that were opened
}

// place is where to look.
type place int

const (
	inPage   place = iota // the window that the browser starts with
	inFrame               // the frame that this page shows
	inWindow              // the window that was opened from it
)

// besideTool is in the address of the frame that an LMS may show beside the tool's.
const besideTool = "/storage?"

// newScreen is called by newChrome and newFirefox.
func newScreen(t *testing.T, e engine) *screen {
	t.Helper()
	s := &screen{t: t, engine: e, downloads: t.TempDir(), pictures: t.ArtifactDir()}
	if folder := os.Getenv("SEALSMITH_TEST_SCREENSHOTS"); folder != "" {
		s.pictures = filepath.Join(folder, filepath.Base(t.Name()))
	}
	return s
}

// installed returns the path of the program, which has several names.
func installed(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%[1]s is not installed: apt-get install %[1]s", names[0])
	return ""
}

func (s *screen) open(address string) {
	s.t.Helper()
	must(s.t, s.engine.open(address))
}

// reads waits until these words can be read.
func (s *screen) reads(at place, words ...string) {
	s.t.Helper()
	eventually(s.t, func() string {
		var text string
		if err := s.engine.eval(at, `document.readyState === "complete" ? document.body.innerText : ""`, &text); err != nil {
			return err.Error() // between two pages there is none
		}
		text = strings.Join(strings.Fields(text), " ")
		for _, w := range words {
			if !strings.Contains(text, w) {
				return fmt.Sprintf("the page does not say %q but: %s", w, text)
			}
		}
		return ""
	})
}

// ask evaluates a script, and asks again while the page changes under it.
func (s *screen) ask(at place, script string, result any) {
	s.t.Helper()
	eventually(s.t, func() string {
		if err := s.engine.eval(at, script, result); err != nil {
			return err.Error()
		}
		return ""
	})
}

// spot is the middle of an element.
type spot struct{ X, Y float64 }

const findSpot = `(() => {
	if (document.readyState !== "complete" || document.fonts.status !== "loaded") return null;
	const want = %s;
	const hit = [...document.querySelectorAll("a, button, label, input, summary")].find(e =>
		(e.tagName === "INPUT" ? e.labels?.[0]?.innerText ?? e.ariaLabel ?? "" : e.innerText).replace(/\s+/g, " ").includes(want)
		&& e.checkVisibility() && (e.tagName === "INPUT") === %t);
	if (!hit) return null;
	hit.scrollIntoView({block: "center", behavior: "instant"});
	const r = hit.getBoundingClientRect();
	return {X: r.x + r.width / 2, Y: r.y + r.height / 2};
})()`

// press clicks with the mouse on a link, button or label with these words, or into the
// field with this label.
func (s *screen) press(at place, words string, field bool) {
	s.t.Helper()
	var where, before *spot
	eventually(s.t, func() string {
		before, where = where, nil
		if err := s.engine.eval(at, fmt.Sprintf(findSpot, strconv.Quote(words), field), &where); err != nil {
			return err.Error()
		}
		if where == nil {
			return fmt.Sprintf("there is nothing called %q to click on", words)
		}
		if before == nil || *before != *where { // people do not hit what moves
			return fmt.Sprintf("%q is not at rest", words)
		}
		return ""
	})
	must(s.t, s.engine.press(at, *where))
}

func (s *screen) click(at place, words string) {
	s.t.Helper()
	s.press(at, words, false)
}

// write replaces what stands in the field.
func (s *screen) write(at place, label, text string) {
	s.t.Helper()
	s.press(at, label, true)
	var selected bool
	s.ask(at, `(document.activeElement.select(), true)`, &selected)
	must(s.t, s.engine.enter(at, text))
}

// picture keeps what the person sees.
func (s *screen) picture(name string) {
	s.t.Helper()
	s.pictureOf(inPage, name)
}

func (s *screen) pictureOf(at place, name string) {
	s.t.Helper()
	png, err := s.engine.picture(at)
	must(s.t, err)
	s.number++
	must(s.t, os.MkdirAll(s.pictures, 0o700))
	must(s.t, os.WriteFile(filepath.Join(s.pictures, fmt.Sprintf("%02d-%s.png", s.number, name)), png, 0o600))
}

// TestBrowser goes the whole way in real browsers, by clicks, with the server in a frame of
// another site and third-party cookies blocked or partitioned.
func TestBrowser(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *screen{
		"chromium": func(t *testing.T) *screen { return newChrome(t) },
		"firefox":  func(t *testing.T) *screen { return newFirefox(t, partitionThirdParties) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.command = []string{"serve", "--no-worker"} // the claim waits until the worker is started
			r.serve(t)
			start(t).wholeWay(r)
		})
	}
}

func (s *screen) wholeWay(r *rig) {
	s.t.Helper()
	s.teacherAttaches(r)
	s.open(r.lms.Issuer() + "/as/maija?next=/course/2")
	s.click(inPage, journeyTitle)
	s.reads(inFrame, "You have no score yet. At least 55 % is asked.")
	s.picture("learner-no-score")
	s.teacherGrades(r, "40")
	s.open(r.lms.Issuer() + "/as/maija?next=/course/2")
	s.click(inPage, journeyTitle)
	s.reads(inFrame, "15 % is missing.")
	s.picture("learner-too-low")
	s.teacherGrades(r, "80")
	s.learnerClaims(r)
	s.recogniserChecks(s.learnerDownloads("Sealed credential", ".jsonld"), r)
	s.learnerPrints(r)
	s.calm()
}

// calm fails when the developer tools showed something in red, besides lines that contain
// one of these words.
func (s *screen) calm(expected ...string) {
	s.t.Helper()
	complaints, err := s.engine.complaints()
	must(s.t, err)
	for line := range strings.Lines(complaints) {
		if !slices.ContainsFunc(expected, func(words string) bool { return strings.Contains(line, words) }) {
			s.t.Errorf("the browser complains: %s", line)
		}
	}
}

func (s *screen) teacherAttaches(r *rig) {
	s.t.Helper()
	s.open(r.lms.Issuer() + "/as/teacher?next=/course/2")
	s.click(inPage, "Add activity")
	s.click(inPage, "Select content")
	s.reads(inFrame, "Which micro-credential does this course lead to?")
	s.picture("teacher-picks")
	s.click(inFrame, journeyTitle)
	s.click(inFrame, "Continue")
	s.reads(inFrame, "How do we know that a learner has finished?")
	s.write(inFrame, "Least score", "55")
	s.picture("teacher-sets-the-rule")
	s.click(inFrame, "Add to my course")
	s.reads(inPage, "New activity")
	s.picture("teacher-saves")
	s.click(inPage, "Save")
	s.reads(inPage, "The activity was added.")
	s.picture("teacher-course")
}

func (s *screen) teacherGrades(r *rig, score string) {
	s.t.Helper()
	s.open(r.lms.Issuer() + "/as/teacher?next=/course/2/gradebook")
	s.reads(inPage, "Gradebook", "Maija")
	s.write(inPage, "Maija", score)
	s.click(inPage, "Save")
	s.reads(inPage, "The grades were saved.")
	s.picture("teacher-grades-" + score)
}

func (s *screen) learnerClaims(r *rig) {
	s.t.Helper()
	s.open(r.lms.Issuer() + "/as/maija?next=/course/2")
	s.click(inPage, journeyTitle)
	s.reads(inFrame, "Your micro-credential is ready", "Your score is 80 %.")
	s.picture("learner-can-claim")
	s.click(inFrame, "Claim my micro-credential")
	s.reads(inFrame, "Your credential is being sealed")
	s.picture("learner-waits")
	start(s.t, r.settings, "worker")
	s.reads(inFrame, "It is yours.") // by live.js: nobody clicks
	s.picture("learner-has-it")
}

// learnerPrints opens the activity once more and takes the certificate.
func (s *screen) learnerPrints(r *rig) {
	s.t.Helper()
	s.open(r.lms.Issuer() + "/as/maija?next=/course/2")
	s.click(inPage, journeyTitle)
	s.reads(inFrame, "It is yours.")
	file, err := os.ReadFile(s.learnerDownloads("Certificate as PDF", ".pdf"))
	must(s.t, err)
	_, err = pdf.Check(file)
	must(s.t, err)
}

// learnerDownloads returns the path of the file that a link gives, which is the only one of its kind.
func (s *screen) learnerDownloads(link, extension string) string {
	s.t.Helper()
	s.click(inFrame, link)
	var path string
	eventually(s.t, func() string {
		// While it comes, Chromium has a file of another name and Firefox an empty one beside it.
		all, err := filepath.Glob(filepath.Join(s.downloads, "*"))
		must(s.t, err)
		var found []string
		for _, name := range all {
			switch filepath.Ext(name) {
			case extension:
				found = append(found, name)
			case ".jsonld", ".pdf":
			default:
				return fmt.Sprintf("downloaded files: %v", all)
			}
		}
		if len(found) != 1 {
			return fmt.Sprintf("downloaded files: %v", all)
		}
		path = found[0]
		return ""
	})
	return path
}

func (s *screen) recogniserChecks(file string, r *rig) {
	s.t.Helper()
	s.open(r.url + "/verify")
	s.picture("recogniser-front")
	must(s.t, s.engine.choose("#file", file))
	s.click(inPage, "Check it")
	s.reads(inPage, "This credential is genuine", "Maija", journeyTitle)
	s.picture("recogniser-genuine")
}
