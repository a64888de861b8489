package main

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/trustlist"
	"github.com/sealsmith/sealsmith/issuance/trustlist/trustlisttest"
)

// lists are files of trusted lists as an operator has them: the authority of a test's token is
// a Dutch service for seals.
type lists struct {
	dir        string
	commission trustlisttest.Party
	dutch      trustlisttest.Party
	authority  *x509.Certificate
}

func newLists(t *testing.T, authority *x509.Certificate) *lists {
	t.Helper()
	l := &lists{t.TempDir(), trustlisttest.NewSigner(t, "Commission", false), trustlisttest.NewSigner(t, "Dutch", true), authority}
	l.write(t, "lotl.xml", l.lotl(t).Sign(t, l.commission))
	l.write(t, "nl.xml", l.nl(t).Sign(t, l.dutch))
	l.write(t, "signers.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.commission.Certificate.Raw}))
	return l
}

func (l *lists) write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(l.dir, name)
	must(t, os.WriteFile(path, content, 0o600))
	return path
}

func (l *lists) lotl(t *testing.T) trustlisttest.List {
	t.Helper()
	now := time.Now().UTC()
	return trustlisttest.List{Territory: "EU", Sequence: 300, Issued: now.AddDate(0, -1, 0), NextUpdate: now.AddDate(0, 5, 0), Pointers: []trustlisttest.Pointer{
		{Territory: "EU", Signers: []trustlisttest.Party{l.commission}}, {Territory: "NL", Signers: []trustlisttest.Party{l.dutch}}, {Territory: "DE", Signers: []trustlisttest.Party{l.commission}},
	}}
}

func (l *lists) nl(t *testing.T) trustlisttest.List {
	t.Helper()
	now := time.Now().UTC()
	return trustlisttest.List{Territory: "NL", Sequence: 70, Issued: now.AddDate(0, 0, -9), NextUpdate: now.AddDate(0, 5, 0), Services: []trustlisttest.Service{
		{
			Type: trustlisttest.CA, Provider: "Polder Trust", Name: "Polder seals", Certificates: []*x509.Certificate{l.authority},
			States: []trustlisttest.State{{Since: trustlisttest.Day(t, "2020-01-01"), Status: "granted", Additional: []string{"ForeSeals"}, Extensions: trustlisttest.Qualification(
				`<e:CriteriaList assert="all"><e:KeyUsage><e:KeyUsageBit name="keyCertSign">false</e:KeyUsageBit></e:KeyUsage></e:CriteriaList>`, "QCStatement", "QCForESeal", "QCWithQSCD")}},
		},
		{Type: trustlisttest.TSA, Provider: "Polder Trust", Name: "Polder time", Raw: []byte("not a certificate"), States: []trustlisttest.State{{Since: trustlisttest.Day(t, "2020-01-01"), Status: "granted"}}},
		{Type: "http://uri.etsi.org/TrstSvc/Svctype/EDS/Q", Provider: "Post", Name: "Mail", States: []trustlisttest.State{{Since: trustlisttest.Day(t, "2020-01-01"), Status: "granted"}}},
	}}
}

func TestTrustCommands(t *testing.T) {
	t.Parallel()
	l := newLists(t, trustlisttest.NewAuthority(t, "Polder CA", "NL", nil).Certificate)
	settings := []string{"SEALSMITH_DIR=" + t.TempDir()}
	changed := l.write(t, "changed.xml", bytes.Replace(mustRead(t, filepath.Join(l.dir, "nl.xml")), []byte("Polder seals"), []byte("Polder Seals"), 1))
	old := l.nl(t)
	old.Sequence = 69
	stale := l.nl(t)
	stale.Sequence, stale.NextUpdate = 71, time.Now().AddDate(0, 0, -1)
	files := map[string]string{
		"LOTL": filepath.Join(l.dir, "lotl.xml"), "NL": filepath.Join(l.dir, "nl.xml"), "SIGNERS": filepath.Join(l.dir, "signers.pem"), "CHANGED": changed,
		"OLD": l.write(t, "old.xml", old.Sign(t, l.dutch)), "STALE": l.write(t, "stale.xml", stale.Sign(t, l.dutch)), "BROKEN": l.write(t, "broken.json", []byte("{")),
	}
	types(
		t, settings, files,
		command{"trust list", 0, `^No trusted list is imported.*\n  curl -fO https://ec\.europa\.eu/tools/lotl/eu-lotl\.xml\n`},
		command{"trust list --json", 0, `^(null|\[\])\n$`},
		command{"trust show NL", 1, `no list of NL is imported`},
		command{"trust import", 2, `expected "<file> \.\.\."`},
		command{"trust import /nonexistent.xml", 1, `open the list: .*no such file`},
		command{"trust import $LOTL --signers /nonexistent.pem", 1, `read the signers: .*no such file`},
		command{"trust import $LOTL --signers $NL", 1, `nl\.xml: no certificates that may sign the list of the lists`},
	)
	_, _, trouble := sealsmith(t, settings, "trust", "import", files["LOTL"], files["NL"])
	if !strings.Contains(trouble, "give those of the Official Journal") || !strings.Contains(trouble, "2 of 2 lists refused") {
		t.Errorf("without signers: %s", trouble)
	}
	types(
		t, settings, files,
		command{"trust import $LOTL $NL --signers $SIGNERS", 0, `(?s)^imported \S+lotl\.xml: the list of the lists, number 300 of .*imported \S+nl\.xml: the list of the Netherlands, number 70 of \S+\n +The service "Polder time" of Polder Trust has an identity that cannot be read\.\n$`},
		command{"trust import $CHANGED", 1, `^refused  \S+changed\.xml: the signature of the list is not valid: the file was changed after it was signed`},
		command{"trust import $OLD", 1, `an older list than the one that is imported: this is number 69`},
		command{"trust list", 0, `(?s)^LIST +OF +NUMBER +ISSUED +NEXT UPDATE +SERVICES +STATE\nEU +the European Union +300 .* current\nDE +Germany +missing: https://lists\.example/DE\.xml\nNL +the Netherlands +70 +\S+ +\S+ +2 +current\n$`},
		command{"trust list --locations", 0, `^EU https://lists\.example/EU\.xml\nDE https://lists\.example/DE\.xml\nNL https://lists\.example/NL\.xml\n$`},
		command{"trust show nl", 0, `(?s)^the list of the Netherlands, number 70 .*published by Supervisor of NL\nsigned by .*Polder seals +Polder Trust +ForeSeals +granted +2020-01-01\nPolder time +Polder Trust +time-stamps +granted.*\n1 services of other kinds`},
		command{"trust show EU", 0, `(?s)number 300.*\nNL +https://lists\.example/NL\.xml +1 signers\n`},
		command{"trust show SE", 1, `no list of SE is imported; those that are: sealsmith trust list`},
		command{"trust import $STALE", 0, `(?s)number 71.*It ran out on \S+: there must be a newer one`},
		command{"trust list", 0, `NL +the Netherlands +71 .*out of date: import the present one`},
		command{"trust show NL", 0, `state: out of date`},
	)
	var states []listState
	must(t, json.Unmarshal([]byte(succeed(t, settings, "trust", "list", "--json")), &states))
	if len(states) != 3 || states[1].State != "missing" || states[2].State != "out-of-date" || states[2].Sequence != 71 {
		t.Errorf("%+v", states)
	}
	var shown trustlist.List
	must(t, json.Unmarshal([]byte(succeed(t, settings, "trust", "show", "NL", "--json")), &shown))
	if len(shown.Services) != 2 || !shown.Services[0].Certificates[0].Equal(l.authority) {
		t.Errorf("%+v", shown)
	}
	elsewhere := append(settings, "SEALSMITH_TRUST_LISTS="+files["BROKEN"])
	types(
		t, elsewhere, files,
		command{"trust list", 1, `the file of the trusted lists cannot be read; import the lists again into a new one`},
		command{"verify $LOTL", 2, `the file of the trusted lists cannot be read`},
		command{"serve", 1, `the file of the trusted lists cannot be read`},
	)
}

// TestListStates: what the overview says of lists that are there and not as they should be.
func TestListStates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for want, l := range map[string]*trustlist.List{
		"current": {NextUpdate: now.Add(time.Hour)}, "closed": {}, "out-of-date": {NextUpdate: now.Add(-time.Hour)}, "signer-gone": {SignerGone: true, NextUpdate: now.Add(time.Hour)},
	} {
		if got := stateOf(l, now).State; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if !strings.Contains(stateWords("signer-gone"), "not used") {
		t.Error("a list without signer looks as if it were used")
	}
}

// TestTrustedFollowsTheFile: a server takes over lists that are imported while it runs, and
// keeps those it has when the file is broken.
func TestTrustedFollowsTheFile(t *testing.T) {
	t.Parallel()
	ca := trustlisttest.NewAuthority(t, "Polder CA", "NL", nil)
	l := newLists(t, ca.Certificate)
	leaf := ca.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "Seal"}}, nil)
	s := &Settings{Dir: t.TempDir(), Trust: filepath.Join(l.dir, "signers.pem")}
	var log bytes.Buffer
	trusted, err := newTrusted(s, slog.New(slog.NewTextHandler(&log, nil)))
	must(t, err)
	vouched := func(o issuance.VerifyOptions) bool {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: o.Trust, CurrentTime: o.Now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err == nil
	}
	now := trustlisttest.Day(t, "2026-12-01")
	if o := trusted.options(now); o.Qualify != nil || vouched(o) || !o.Now.Equal(now) || o.Trust != trusted.seals || o.TimestampTrust != trusted.seals {
		t.Errorf("before: %+v", o)
	}
	succeed(t, []string{"SEALSMITH_DIR=" + s.Dir}, "trust", "import", filepath.Join(l.dir, "lotl.xml"), filepath.Join(l.dir, "nl.xml"), "--signers", s.Trust)
	o := trusted.options(now)
	if o.Qualify == nil || !vouched(o) {
		t.Fatalf("after: %+v", o)
	}
	if q := o.Qualify(leaf, nil, time.Now()); q.Code != trustlist.CodeNotQualified && q.Code != trustlist.CodeQualified {
		t.Errorf("%+v", q)
	}
	if vouched(issuance.VerifyOptions{Trust: trusted.seals, Now: now}) {
		t.Error("the certificates of the settings have become more")
	}
	must(t, os.WriteFile(s.trustLists(), []byte("{"), 0o600))
	if o := trusted.options(now); o.Qualify == nil || !vouched(o) || !strings.Contains(log.String(), "those read before are used") {
		t.Errorf("broken: %+v, log %s", o, log.String())
	}
	must(t, os.Remove(s.trustLists()))
	if o := trusted.options(now); o.Qualify != nil || vouched(o) {
		t.Errorf("removed: %+v", o)
	}
	if _, err := newTrusted(&Settings{TSATrust: "/nonexistent"}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file of trust that is not there was taken")
	}
}

// TestVerifySaysQualified goes the operator's way: a credential that the demo's token sealed,
// with the authority of the token on a list and no file of --trust.
func TestVerifySaysQualified(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	block, _ := pem.Decode(mustRead(t, r.token.CAFile))
	authority, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	l := newLists(t, authority)
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	r.step(t, r.journey.claim)
	r.step(t, r.journey.sealed)
	r.step(t, r.journey.download)
	file := filepath.Join(r.dir, "artifacts", "credential.jsonld")
	settings := []string{"SEALSMITH_DIR=" + t.TempDir()}
	paths := map[string]string{"FILE": file, "LOTL": filepath.Join(l.dir, "lotl.xml"), "NL": filepath.Join(l.dir, "nl.xml"), "SIGNERS": filepath.Join(l.dir, "signers.pem"), "CA": r.token.CAFile}
	types(
		t, settings, paths,
		command{"--trust $CA verify $FILE", 0, `(?s)This credential is genuine.*By the trusted lists\n\n  No trusted list of the EU is set up here, so nothing is said about whether the seal is a qualified one\.\n`},
	)
	if code, out, _ := sealsmith(t, settings, "verify", file); code != 1 || !strings.Contains(out, "nobody you trust vouches") {
		t.Errorf("exit %d: %s", code, out)
	}
	types(
		t, settings, paths,
		command{"trust import $LOTL $NL --signers $SIGNERS", 0, `imported`},
		command{"verify $FILE", 0, `(?s)This credential is genuine.*By the trusted lists\n\n  This is a qualified electronic seal according to the trusted list of the Netherlands of .*\n  - The service “Polder seals” of Polder Trust was in good standing`},
		command{"verify --json $FILE", 0, `"code": "qualified_seal"`},
	)
}
