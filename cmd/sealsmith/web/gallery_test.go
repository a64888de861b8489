package web_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// gallery is where TestGallery puts all pages, to be looked at in a browser through any
// web server: go test ./cmd/sealsmith/web -run TestGallery -gallery /tmp/gallery
var gallery = flag.String("gallery", "", "folder for all pages as files; empty: none are written")

func TestGallery(t *testing.T) {
	t.Parallel()
	if *gallery == "" {
		return // nothing was asked for
	}
	write := func(name string, content []byte) {
		path := filepath.Join(*gallery, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, content, 0o600))
	}
	version := ""
	for _, s := range shots(t) {
		page := s.answer.Body.String()
		if m := linked.FindStringSubmatch(page); version == "" && m != nil {
			version = m[1][:len("/static/000000000000")]
		}
		write(s.name+".html", s.answer.Body.Bytes())
	}
	files := os.DirFS("static")
	must(t, fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		write(version+"/"+name, content)
		return err
	}))
	write("brand/polder.css", newWorld(t).get("/brand/polder.css").Body.Bytes())
}
