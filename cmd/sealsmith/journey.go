package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/sealsmith/sealsmith/issuance/jades"
)

// journey walks through the life of one credential as its people would, over HTTP, with a
// browser that knows nothing of the program's inside.
type journey struct {
	demo    *demo
	browser *browser

	steps    []journeyStep
	activity string // address of the new activity in the LMS
	file     string // address of the sealed file
	paper    string // address of the certificate to print
}

// journeyStep is one line of journey.json.
type journeyStep struct {
	Step         string  `json:"step"`
	Who          string  `json:"who"`
	Milliseconds float64 `json:"ms"`
	Saw          string  `json:"saw"` // what the person read
}

type journeyRecord struct {
	OK           bool          `json:"ok"`
	Error        string        `json:"error,omitempty"`
	Milliseconds float64       `json:"ms"`
	Steps        []journeyStep `json:"steps"`
}

func (j *journey) record(err error) journeyRecord {
	r := journeyRecord{OK: err == nil, Steps: j.steps}
	if err != nil {
		r.Error = err.Error()
	}
	for _, s := range j.steps {
		r.Milliseconds += s.Milliseconds
	}
	return r
}

// run walks all steps; the first that fails ends the walk.
func (j *journey) run(ctx context.Context) error {
	out := j.demo.out
	for _, step := range []struct {
		who, name string
		do        func(context.Context) (saw string, err error)
	}{
		{"teacher", "picks a micro-credential for the course", j.pick},
		{"teacher", "saves the new activity", j.save},
		{"learner", "opens it: no score yet", j.nothingYet},
		{"teacher", "gives a score below the rule", j.gradeLow},
		{"learner", "opens it: told what is missing", j.tooLow},
		{"teacher", "gives a score above the rule", j.gradeHigh},
		{"learner", "opens it: can claim", j.canClaim},
		{"learner", "claims", j.claim},
		{"token", "seals", j.sealed},
		{"learner", "downloads the sealed file", j.download},
		{"authority", "proves it for later years", j.preserved},
		{"learner", "downloads the certificate to print", j.downloadPDF},
		{"recogniser", "checks it in a separate process", j.verify},
	} {
		begun := time.Now()
		saw, err := step.do(ctx)
		ms := float64(time.Since(begun).Microseconds()) / 1000
		j.steps = append(j.steps, journeyStep{Step: step.name, Who: step.who, Milliseconds: ms, Saw: saw})
		if err != nil {
			return fmt.Errorf("%s %s: %w", step.who, step.name, err)
		}
		out.printf("%8.1f ms  %-10s %-42s %s\n", ms, step.who, step.name, saw)
	}
	return nil
}

func (j *journey) member() *member { return j.demo.members[0] }

// as logs in to the LMS and opens a page there.
func (j *journey) as(ctx context.Context, user, page string) error {
	j.browser.at = nil
	return j.browser.open(ctx, j.member().lms.Issuer()+"/as/"+user+"?next="+page)
}

// expect fails unless the page says all of this.
func (j *journey) expect(sentences ...string) (string, error) {
	text := j.browser.text()
	for _, s := range sentences {
		if !strings.Contains(text, s) {
			return "", fmt.Errorf("the page does not say %q but: %s", s, shorten(text))
		}
	}
	return sentences[0], nil
}

// settle submits the forms that a script of the page would submit by itself, as a person
// without scripts would press their buttons.
func (j *journey) settle(ctx context.Context) error {
	for range 8 {
		form := find(j.browser.page, func(n *html.Node) bool {
			return n.Data == "form" && (has(n, "data-submit") || has(n, "data-post"))
		})
		if form == nil {
			return nil
		}
		if err := j.browser.send(ctx, form, nil); err != nil {
			return err
		}
	}
	return errors.New("the pages go round in circles")
}

const (
	journeyTeacher = "teacher"
	journeyLearner = "maija"
	journeyCourse  = "/course/2"
	journeyTitle   = "Sustainable Food Systems"
)

// pick goes from the LMS into the tool and back, as a teacher does in six clicks.
func (j *journey) pick(ctx context.Context) (string, error) {
	b := j.browser
	if err := j.as(ctx, journeyTeacher, journeyCourse+"/add"); err != nil {
		return "", err
	}
	if err := b.follow(ctx, "Select content"); err != nil {
		return "", err
	}
	if err := b.frame(ctx); err != nil {
		return "", err
	}
	if err := j.settle(ctx); err != nil {
		return "", err
	}
	choice := find(b.page, func(n *html.Node) bool {
		return n.Data == "div" && attribute(n, "class") == "pick" && strings.Contains(text(n), journeyTitle)
	})
	if choice == nil {
		return "", fmt.Errorf("the picker does not offer %s: %s", journeyTitle, shorten(b.text()))
	}
	radio := find(choice, func(n *html.Node) bool { return n.Data == "input" })
	if err := b.submit(ctx, "Continue", map[string]string{"template": attribute(radio, "value")}); err != nil {
		return "", err
	}
	if err := b.submit(ctx, "Add to my course", map[string]string{"percent": "55"}); err != nil {
		return "", err
	}
	if err := j.settle(ctx); err != nil {
		return "", err
	}
	return j.expect("The content was passed on.")
}

func (j *journey) save(ctx context.Context) (string, error) {
	if err := j.browser.follow(ctx, "Continue"); err != nil {
		return "", err
	}
	title := journeyTitle
	if err := j.browser.submit(ctx, "Save", map[string]string{"title": title}); err != nil {
		return "", err
	}
	if said, err := j.expect("The activity was added."); err != nil {
		return said, err
	}
	// The new activity is the last of the course.
	each(j.browser.page, func(n *html.Node) {
		if n.Data == "a" && strings.HasPrefix(attribute(n, "href"), "/activity/") {
			j.activity = attribute(n, "href")
		}
	})
	if j.activity == "" {
		return "", errors.New("the course does not show the new activity")
	}
	return j.expect("The activity was added.")
}

// open opens the activity as the learner, in the frame of the LMS.
func (j *journey) open(ctx context.Context, sentences ...string) (string, error) {
	if err := j.enter(ctx, journeyLearner); err != nil {
		return "", err
	}
	return j.expect(sentences...)
}

// enter opens the activity as a user of the LMS.
func (j *journey) enter(ctx context.Context, user string) error {
	if err := j.as(ctx, user, j.activity); err != nil {
		return err
	}
	if err := j.browser.frame(ctx); err != nil {
		return err
	}
	return j.settle(ctx)
}

func (j *journey) nothingYet(ctx context.Context) (string, error) {
	return j.open(ctx, "You have no score yet. At least 55 % is asked.")
}

// grade types a score into the newest column of the gradebook.
func (j *journey) grade(ctx context.Context, score string) (string, error) {
	if err := j.as(ctx, journeyTeacher, journeyCourse+"/gradebook"); err != nil {
		return "", err
	}
	row := find(j.browser.page, func(n *html.Node) bool {
		return n.Data == "tr" && strings.Contains(text(n), "Maija")
	})
	if row == nil {
		return "", errors.New("the gradebook does not list the learner")
	}
	field := ""
	each(row, func(n *html.Node) {
		if n.Data == "input" {
			field = attribute(n, "name")
		}
	})
	if err := j.browser.submit(ctx, "Save", map[string]string{field: score}); err != nil {
		return "", err
	}
	return j.expect("The grades were saved.")
}

func (j *journey) gradeLow(ctx context.Context) (string, error)  { return j.grade(ctx, "40") }
func (j *journey) gradeHigh(ctx context.Context) (string, error) { return j.grade(ctx, "80") }

func (j *journey) tooLow(ctx context.Context) (string, error) {
	return j.open(ctx, "Your score is 40 %. At least 55 % is asked; 15 % is missing.")
}

func (j *journey) canClaim(ctx context.Context) (string, error) {
	return j.open(ctx, "Your micro-credential is ready", "Maija", "Your score is 80 %. At least 55 % is asked.")
}

func (j *journey) claim(ctx context.Context) (string, error) {
	if err := j.browser.submit(ctx, "Claim my micro-credential", nil); err != nil {
		return "", err
	}
	if said, err := j.expect("It is yours."); err == nil { // the token was faster than the page
		return said, nil
	}
	return j.expect("Your credential is being sealed")
}

// sealed looks again, as the page does by itself, until the credential is there.
func (j *journey) sealed(ctx context.Context) (string, error) {
	ctx, stop := context.WithTimeout(ctx, 15*time.Second)
	defer stop()
	again := j.browser.at.String()
	for {
		said, err := j.expect("It is yours.")
		if err == nil {
			j.file, j.paper = j.linked(".jsonld"), j.linked(".pdf")
			if j.file == "" || j.paper == "" {
				return "", errors.New("the page does not offer both files")
			}
			return said, nil
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return "", err
		}
		if err := j.browser.open(ctx, again); err != nil {
			return "", err
		}
	}
}

// linked is the address of the first link on the page that ends so.
func (j *journey) linked(end string) string {
	link := find(j.browser.page, func(n *html.Node) bool { return n.Data == "a" && strings.HasSuffix(attribute(n, "href"), end) })
	if link == nil {
		return ""
	}
	return attribute(link, "href")
}

func (j *journey) download(ctx context.Context) (string, error) {
	b := j.browser
	if err := b.open(ctx, j.file); err != nil {
		return "", err
	}
	name := j.demo.artifact("credential.jsonld")
	if err := os.WriteFile(name, b.body, 0o600); err != nil {
		return "", fmt.Errorf("keep the sealed file: %w", err)
	}
	return fmt.Sprintf("%d kB", len(b.body)/1000), nil
}

// downloadPDF fetches the certificate, which is made and sealed for it.
func (j *journey) downloadPDF(ctx context.Context) (string, error) {
	b := j.browser
	if err := b.open(ctx, j.paper); err != nil {
		return "", err
	}
	if !bytes.HasPrefix(b.body, []byte("%PDF-")) {
		return "", fmt.Errorf("this is no PDF: %s", shorten(b.text()))
	}
	name := j.demo.artifact("certificate.pdf")
	if err := os.WriteFile(name, b.body, 0o600); err != nil {
		return "", fmt.Errorf("keep the certificate: %w", err)
	}
	return fmt.Sprintf("%d kB", len(b.body)/1000), nil
}

// preserved fetches the file again until everything is in it that later years need.
func (j *journey) preserved(ctx context.Context) (string, error) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	for {
		said, err := j.download(ctx)
		if err != nil {
			return "", err
		}
		file, err := jades.Parse(j.browser.body)
		if err != nil {
			return "", err
		}
		trust, err := readTrust(j.demo.artifact("trust.pem"))
		if err != nil {
			return "", err
		}
		proof := file.Verify(jades.VerifyOptions{Trust: trust, At: time.Now()}).Proofs[0]
		if proof.Reached == jades.LevelLTA {
			return fmt.Sprintf("JAdES %s, %s", proof.Reached, said), nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return "", fmt.Errorf("the file is still of level %s, see the page Seal for the reason", proof.Reached)
		}
	}
}

// verify runs the program anew: nothing but the file and the trusted certificate crosses.
func (j *journey) verify(ctx context.Context) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the program: %w", err)
	}
	command := exec.CommandContext(ctx, self, "verify", "--json", "--trust", j.demo.artifact("trust.pem"), j.demo.artifact("credential.jsonld"))
	var report, trouble bytes.Buffer
	command.Stdout, command.Stderr = &report, &trouble
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("sealsmith verify: %w: %s %s", err, shorten(trouble.String()), shorten(report.String()))
	}
	var said struct {
		Headline string `json:"headline"`
	}
	if err := json.Unmarshal(report.Bytes(), &said); err != nil {
		return "", fmt.Errorf("read the report: %w", err)
	}
	return said.Headline, nil
}
