package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/sealsmith/sealsmith/issuance/s3store/s3test"
)

// TestArtefacts carries the files of a credential to a real object store and back beside a
// running server, spoils one, and erases all, as an operator does.
func TestArtefacts(t *testing.T) {
	t.Parallel()
	bucket := s3test.New(t)
	address := "SEALSMITH_ARTEFACTS=s3://" + bucket.Name + "/files?region=us-east-1&endpoint=http://" + bucket.Host
	keys := []string{"AWS_ACCESS_KEY_ID=" + bucket.Keys.AccessKey, "AWS_SECRET_ACCESS_KEY=" + bucket.Keys.SecretKey}
	r := newRig(t)
	types(t, r.settings, nil,
		command{"artefacts status", 0, `sealed +0 +0`},
		command{"artefacts verify", 0, "All 0 files are whole"},
		command{"artefacts move --to objects", 1, "no object store is set up"})
	r.settings = append(r.settings, address)
	r.settings = append(r.settings, keys...)
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	id, link := r.credential(t)
	page := "/c/" + link
	file, err := r.get(t, page+"/credential.jsonld")
	must(t, err)
	paper, err := r.get(t, page+"/certificate.pdf")
	must(t, err)
	if words := r.readyz(t).words("object store"); words != "answers" {
		t.Errorf("readyz says %q", words)
	}
	same := func() {
		t.Helper()
		got, err := r.get(t, page+"/credential.jsonld")
		must(t, err)
		printed, err := r.get(t, page+"/certificate.pdf")
		must(t, err)
		if got != file || printed != paper {
			t.Error("the files have changed")
		}
	}

	types(t, r.settings, nil,
		command{"artefacts status", 0, `sealed +1 +0(?s:.*)pdf +1 +0(?s:.*)The object store answers`},
		command{"artefacts move --to objects --dry-run", 0, "2 files would be carried to the object store. Nothing was changed."},
		command{"artefacts move --to objects --limit 1", 0, "1 files were carried"},
		command{"artefacts status", 0, `sealed +0 +1(?s:.*)pdf +1 +0`},
		command{"artefacts move --to objects", 0, "1 files were carried"},
		command{"artefacts move --to objects", 0, "0 files were carried"},
		command{"artefacts verify", 0, "All 2 files are whole"},
		command{"credentials show " + id, 0, "learner"},
		command{"artefacts move --to database", 1, "add move=no"},
		command{"artefacts move --to nowhere", exitUsage, "--to"},
		command{"artefacts move --to objects --limit=-1", 1, "--limit"})
	same()
	r.spoiltObject(t, bucket, id, page)
	same()

	keep := append(append([]string{}, r.settings...), address+"&move=no")
	wrong := append(append([]string{}, r.settings...), "AWS_SECRET_ACCESS_KEY=none-of-ours")
	types(t, wrong, nil, command{"artefacts verify", 2, `refuses our keys \(SignatureDoesNotMatch\)`}, command{"artefacts status", 0, `does not answer: (?s:.*)refuses our keys`})
	types(t, keep, nil,
		command{"artefacts move --to database --dry-run", 0, "2 files would be carried to the database"},
		command{"artefacts move --to database", 0, "2 files were carried"},
		command{"artefacts status", 0, "2 objects are not needed any more"})
	same()
	types(t, r.settings, nil,
		command{"artefacts move --to objects --json", 0, `"artefacts": 2`},
		command{"artefacts verify --json", 0, `"faults": \[\]`},
		command{"artefacts erase " + id, 0, "would be gone for good"})
	same()
	types(t, r.settings, nil,
		command{"artefacts erase --yes " + id, 0, "are erased"},
		command{"artefacts erase --yes " + id, 1, "were erased"},
		command{"artefacts status", 0, "The files of 1 credentials were erased"})
	if got, err := r.get(t, page); err != nil || !strings.Contains(got, "The files of this credential were erased") {
		t.Errorf("%v, %s", err, got)
	}
	if strings.Contains(r.server.err.String(), bucket.Keys.SecretKey) {
		t.Error("the secret is in the log")
	}
}

// spoiltObject changes an object behind the back of the server, which then gives nothing out, and puts it back.
func (r *rig) spoiltObject(t *testing.T, bucket s3test.Bucket, id, page string) {
	t.Helper()
	var object string
	must(t, r.db.Get(t.Context(), &object, `select sealed_object from credentials`))
	object = "files/" + object
	whole, err := bucket.Client.GetObject(t.Context(), bucket.Name, object, minio.GetObjectOptions{})
	must(t, err)
	var body bytes.Buffer
	_, err = body.ReadFrom(whole)
	must(t, err)
	put := func(body []byte) {
		t.Helper()
		_, err := bucket.Client.PutObject(t.Context(), bucket.Name, object, bytes.NewReader(body), int64(len(body)), minio.PutObjectOptions{})
		must(t, err)
	}
	put(bytes.ToUpper(body.Bytes()))
	code, out, _ := sealsmith(t, r.settings, "artefacts", "verify")
	if code != 1 || !strings.Contains(out, "DAMAGED: sealed of credential "+id) || !strings.Contains(out, "1 of 2 files are damaged") {
		t.Errorf("exit %d, %s", code, out)
	}
	if got, err := r.get(t, page+"/credential.jsonld"); err != nil || !strings.Contains(got, "The stored file is not what was sealed") {
		t.Errorf("%v, %.300s", err, got)
	}
	put(body.Bytes())
}

// TestArtefactSettings: what cannot work is refused at once, and no secret is repeated.
func TestArtefactSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := func(more ...string) []string {
		return append([]string{"SEALSMITH_DIR=" + dir, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, more...)
	}
	const local = "SEALSMITH_ARTEFACTS=s3://bucket?endpoint=http://127.0.0.1:1"
	file := filepath.Join(dir, "keys")
	must(t, os.WriteFile(file, []byte("[default]\naws_access_key_id = abc\naws_secret_access_key = hush\n"), 0o600))
	for _, test := range []struct {
		settings []string
		says     string
	}{
		{settings("SEALSMITH_ARTEFACTS=file:///tmp"), "must be s3://"},
		{settings("SEALSMITH_ARTEFACTS=s3://abc:hush@bucket"), "no key stands in it"},
		{settings("SEALSMITH_ARTEFACTS=s3://bucket?endpoint=http://store.example"), "this machine only"},
		{settings(local), "needs keys"},
		{settings(local, "AWS_ACCESS_KEY_ID=abc", "AWS_SECRET_ACCESS_KEY=hush"), ""},
		{settings(local, "SEALSMITH_ARTEFACT_KEYS="+file), ""},
		{settings(local, "SEALSMITH_ARTEFACT_KEYS="+file+".not"), "needs keys"},
	} {
		code, out, trouble := sealsmith(t, test.settings, "artefacts", "status")
		if test.says == "" && code == 0 && strings.Contains(out, "does not answer: the object store that has the file cannot be asked now") && !strings.Contains(out, "hush") {
			continue
		}
		if code != 1 || !strings.Contains(trouble, test.says) || strings.Contains(trouble, "hush") {
			t.Errorf("%v: exit %d, %s", test.settings[3:], code, trouble)
		}
	}
}
