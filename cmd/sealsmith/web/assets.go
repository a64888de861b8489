package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"github.com/gorilla/mux"
)

//go:embed static
var staticFiles embed.FS

//go:embed pages
var pageFiles embed.FS

//go:embed lang
var langFiles embed.FS

// types of the files under static; what is not here is not served.
var assetTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
	".txt":   "text/plain; charset=utf-8",
}

// staticVersion is a hash over all files under static. It is part of their address, so
// that browsers may keep them for ever and the style sheets' relative links stay inside
// the same version.
func staticVersion() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		_, err = sum.Write(content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash the static files: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// static serves style sheets, scripts, fonts and line work. An old version in the address
// gets the present file, but may not keep it.
func (s *Web) static(w http.ResponseWriter, r *http.Request) error {
	vars := mux.Vars(r)
	name := path.Join("static", vars["path"])
	kind, known := assetTypes[path.Ext(name)]
	content, err := staticFiles.ReadFile(name)
	if err != nil || !known {
		return errNoPage
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache")
	if vars["version"] == s.pages.static {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, err = w.Write(content) //nolint:gosec // a file of ours, embedded; the address only chooses which
	return s.gone(r, err)
}

// favicon answers browsers that ask for /favicon.ico whatever the page says.
func (s *Web) favicon(w http.ResponseWriter, r *http.Request) error {
	content, err := staticFiles.ReadFile("static/img/mark.svg")
	if err != nil {
		return fmt.Errorf("read the icon: %w", err)
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(".svg"))
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, err = w.Write(content)
	return s.gone(r, err)
}
