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
)

// journey walks through the life of one credential as its people would, over HTTP, with a
// browser that knows nothing of the program's inside.
type journey struct {
	demo    *demo
	browser *browser

	steps    []journeyStep
	activity string // address of the new activity in the LMS
	file     string // address of the sealed file
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

// settle presses the buttons of pages that scripts would leave by themselves.
func (j *journey) settle(ctx context.Context) error {
	for range 5 {
		err := j.browser.submit(ctx, "Continue to", nil)
		if errors.Is(err, errNoForm) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errors.New("the pages go round in circles")
}

const (
	journeyTeacher = "teacher"
	journeyLearner = "maija"
	journeyTitle   = "Sustainable Food Systems"
)

func (j *journey) pick(ctx context.Context) (string, error) {
	b := j.browser
	if err := j.as(ctx, journeyTeacher, "/course/2/add"); err != nil {
		return "", err
	}
	if err := b.submit(ctx, "Select content", nil); err != nil {
		return "", err
	}
	if err := b.frame(ctx); err != nil {
		return "", err
	}
	if err := j.settle(ctx); err != nil {
		return "", err
	}
	return j.expect(journeyTitle)
}

func (j *journey) save(context.Context) (string, error)       { return "", nil }
func (j *journey) nothingYet(context.Context) (string, error) { return "", nil }
func (j *journey) gradeLow(context.Context) (string, error)   { return "", nil }
func (j *journey) tooLow(context.Context) (string, error)     { return "", nil }
func (j *journey) gradeHigh(context.Context) (string, error)  { return "", nil }
func (j *journey) canClaim(context.Context) (string, error)   { return "", nil }
func (j *journey) claim(context.Context) (string, error)      { return "", nil }
func (j *journey) sealed(context.Context) (string, error)     { return "", nil }

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
