package kit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// replaceable says whether the folder may be made or replaced: it is not there, empty, or a kit.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look into the folder of the kit: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	var m Manifest
	if err != nil || json.Unmarshal(text, &m) != nil || m.Format != format {
		return fmt.Errorf("%w: %s holds other files, which would be lost; name an empty or a new folder", ErrNoKit, dir)
	}
	return nil
}

// replace puts the files in place of what is in the folder, all at once: who reads meanwhile sees
// the old kit or the new one. It reports false when the folder has these very files already.
func replace(dir string, files map[string][]byte) (bool, error) {
	if same(dir, files) {
		return false, nil
	}
	parent, base := filepath.Split(filepath.Clean(dir))
	if parent == "" {
		parent = "."
	}
	if err := os.MkdirAll(parent, 0o755); err != nil { //nolint:gosec // public files, for a web server
		return false, fmt.Errorf("make the folder above the kit: %w", err)
	}
	unlock, err := lock(filepath.Join(parent, "."+base+".lock"))
	if err != nil {
		return false, err
	}
	defer unlock()
	if err := sweep(parent, base); err != nil {
		return false, err
	}
	fresh, err := os.MkdirTemp(parent, prefix(base))
	if err != nil {
		return false, fmt.Errorf("make the folder of the kit: %w", err)
	}
	err = write(fresh, files)
	if err == nil {
		err = swap(fresh, dir)
	}
	// After the exchange the old kit is there.
	return err == nil, errors.Join(err, os.RemoveAll(fresh))
}

func prefix(base string) string { return "." + base + ".new-" }

// sweep removes what a build that was killed has left.
func sweep(parent, base string) error {
	left, err := filepath.Glob(filepath.Join(parent, prefix(base)+"*"))
	if err != nil {
		return nil //nolint:nilerr // a name that is no pattern: nothing is swept
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove what a build has left: %w", err)
		}
	}
	return nil
}

func write(dir string, files map[string][]byte) error {
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // public files, for a web server
		return fmt.Errorf("open the folder of the kit to readers: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // public
			return fmt.Errorf("make a folder of the kit: %w", err)
		}
		if err := writeFile(path, files[name]); err != nil {
			return fmt.Errorf("write the kit: %w", err)
		}
	}
	return nil
}

// writeFile writes through to the disk: the kit is for the day when everything else is lost.
func writeFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // public
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// same says whether the folder has these files and no other.
func same(dir string, files map[string][]byte) bool {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, known := files[filepath.ToSlash(name)]
		if !known {
			return ErrChanged
		}
		have, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(have, want) {
			err = ErrChanged
		}
		found++
		return err
	})
	return err == nil && found == len(files)
}

// swapSlowly is for systems that cannot exchange two folders: for a moment there is none. A build
// that is killed in that moment leaves the old kit beside, under a name that says so.
func swapSlowly(fresh, dir string) error {
	old := dir + ".old"
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("remove an old kit: %w", err)
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put the old kit aside: %w", err)
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(fmt.Errorf("put the kit in its place: %w", err), os.Rename(old, dir))
	}
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("remove the old kit: %w", err)
	}
	return nil
}
