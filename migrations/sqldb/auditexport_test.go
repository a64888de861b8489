package sqldb_test

import (
	"bufio"
	"encoding/json"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/migrations/sqldb/sqldbtest"
)

// TestAuditSum: the hash that README tells third parties to compute, by another program:
//
//	printf '17:sealsmith-audit-1,64:%064d,1:1,1:7,20:2026-11-24T12:00:00Z,0:,6:worker,12:claim sealed,2:c1,3:\303\251!,27:2026-11-24T12:00:01.000002Z,' 0 | sha256sum
func TestAuditSum(t *testing.T) {
	t.Parallel()
	l := sqldb.AuditLink{
		Seq: 1, ID: 7, At: "2026-11-24T12:00:00Z", Actor: "worker", Action: "claim sealed", Subject: "c1", Detail: "é!", LinkedAt: "2026-11-24T12:00:01.000002Z", Prev: sqldb.AuditGenesis,
	}
	if got, want := l.Sum(), "e95671ac00a2cd620baf7ff28e774a76d614e0d34061d786ed2f7c11f3b594fb"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAuditExport(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		happen(t, db, 10)
		linkAll(t, db)
		happen(t, db, 1)
		r, err := sqldb.VerifyAuditExport(strings.NewReader(trail(t, db, sqldb.AuditFilter{})), "")
		if err != nil || !r.Whole || r.Links != 10 || r.NotLinked != 1 || r.LeftOut != 0 || r.Head != verify(t, db, "").Head {
			t.Fatalf("%+v %v", r, err)
		}
		for _, test := range []struct {
			filter         sqldb.AuditFilter
			links, leftOut int64
		}{
			{sqldb.AuditFilter{OrganisationID: "o0"}, 5, 5},
			{sqldb.AuditFilter{OrganisationID: "nobody"}, 0, 10},
			{sqldb.AuditFilter{Subject: "c4"}, 1, 9},
			{sqldb.AuditFilter{Actor: "worker", Action: "claim sealed"}, 10, 0},
			{sqldb.AuditFilter{Since: trailStart.Add(3 * time.Second)}, 7, 3},
			{sqldb.AuditFilter{Until: trailStart.Add(3 * time.Second)}, 3, 7},
			{sqldb.AuditFilter{Since: trailStart.Add(2 * time.Second), Until: trailStart.Add(5 * time.Second)}, 3, 7},
		} {
			text := trail(t, db, test.filter)
			r, err := sqldb.VerifyAuditExport(strings.NewReader(text), "")
			if err != nil || !r.Whole || r.Links != test.links || r.LeftOut != test.leftOut {
				t.Errorf("%+v: %+v %v\n%s", test.filter, r, err, text)
			}
		}
		asOwner(t, db, `delete from audit where id = 3`)
		if _, err := db.ExportAudit(t.Context(), sqldb.AuditFilter{}, io.Discard); err == nil || !strings.Contains(err.Error(), "row 3, link 3, is missing") {
			t.Errorf("export of a broken chain: %v", err)
		}
	})
}

// TestAuditExportTampered edits exports, also such that their links fit again.
func TestAuditExportTampered(t *testing.T) {
	t.Parallel()
	db := sqldbtest.SQLite(t)
	happen(t, db, 10)
	linkAll(t, db)
	head := whole(t, db, 10).Head
	export := strings.SplitAfter(trail(t, db, sqldb.AuditFilter{}), "\n")
	filtered := strings.SplitAfter(trail(t, db, sqldb.AuditFilter{OrganisationID: "o0"}), "\n")
	if len(export) != 12 || len(filtered) != 7 {
		t.Fatalf("%d and %d lines", len(export), len(filtered))
	}
	cut := func(lines []string, parts ...int) string {
		var all strings.Builder
		for _, i := range parts {
			all.WriteString(lines[i])
		}
		return all.String()
	}
	forged := func(line, was, is string) string { // with its hash made to fit
		var l sqldb.AuditLink
		if err := json.Unmarshal([]byte(strings.Replace(line, was, is, 1)), &l); err != nil {
			t.Fatal(err)
		}
		l.Hash = l.Sum()
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(text)) + "\n"
	}
	for name, test := range map[string]struct{ text, kind, words string }{
		"as it was":           {strings.Join(export, ""), "", ""},
		"a field":             {strings.Replace(strings.Join(export, ""), `"subject":"c4"`, `"subject":"c5"`, 1), "changed", "Row 5, link 5, is not what was linked"},
		"a field and hash":    {cut(export, 0, 1, 2, 3, 4) + forged(export[5], `"c4"`, `"c5"`) + cut(export, 6, 7, 8, 9, 10), "inserted", "Link 6 does not follow from link 5"},
		"the last and hash":   {cut(export, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) + forged(export[10], `"c9"`, `"c5"`), "head", "The export ends with link 10"},
		"a line left out":     {cut(export, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10), "missing", "Link 4 is missing"},
		"a line twice":        {cut(export, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10), "inserted", "Link 3 stands after link 3"},
		"lines swapped":       {cut(export, 0, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10), "missing", "Link 1 is missing"},
		"the end cut off":     {cut(export, 0, 1, 2, 3), "missing", "promises 10 links and has 3"},
		"filtered, as it was": {strings.Join(filtered, ""), "", ""},
		"filtered, left out":  {cut(filtered, 0, 1, 2, 4, 5), "missing", "promises 5 links and has 4"},
		"filtered, a field":   {strings.Replace(strings.Join(filtered, ""), `"subject":"c4"`, `"subject":"c5"`, 1), "changed", "Row 5, link 5"},
		"filtered, swapped":   {cut(filtered, 0, 2, 1, 3, 4, 5), "inserted", "Link 1 stands after link 3"},
	} {
		r, err := sqldb.VerifyAuditExport(strings.NewReader(test.text), "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if test.kind == "" && !r.Whole || test.kind != "" && (r.Whole || r.Break.Kind != test.kind || !strings.Contains(r.Break.Words, test.words)) {
			t.Errorf("%s: %+v, break %+v", name, r, r.Break)
		}
	}
	// The first line edited together with the rest: only a noted head tells.
	shorter := strings.NewReplacer(`"links":10,"head_seq":10`, `"links":9,"head_seq":9`, head, linkOf(t, export[9]).Hash).Replace(export[0]) + cut(export, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if r, err := sqldb.VerifyAuditExport(strings.NewReader(shorter), ""); err != nil || !r.Whole {
		t.Errorf("shortened: %+v %v", r, err)
	}
	if r, err := sqldb.VerifyAuditExport(strings.NewReader(shorter), head); err != nil || r.Whole || r.Break.Kind != "noted" {
		t.Errorf("shortened, with the head: %+v %v", r, err)
	}
	// A head that is known only from the link after it.
	if r, err := sqldb.VerifyAuditExport(strings.NewReader(strings.Join(filtered, "")), linkOf(t, export[4]).Hash); err != nil || !r.Whole || r.Noted.Seq != 4 {
		t.Errorf("head before a link: %+v %v", r, err)
	}
}

func linkOf(t *testing.T, line string) sqldb.AuditLink {
	t.Helper()
	var l sqldb.AuditLink
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAuditExportUnreadable(t *testing.T) {
	t.Parallel()
	db := sqldbtest.SQLite(t)
	happen(t, db, 2)
	linkAll(t, db)
	good := trail(t, db, sqldb.AuditFilter{})
	first, rest, _ := strings.Cut(good, "\n")
	for name, text := range map[string]string{
		"empty": "", "not JSON": "hello\n", "other JSON": "{}\n", "no first line": rest, "another format": strings.Replace(good, "export-1", "export-2", 1),
		"cut in a line":         good[:len(good)-20],
		"a field too much":      strings.Replace(good, `"seq":1,`, `"seq":1,"extra":1,`, 1),
		"a field twice":         strings.Replace(good, `"actor":"worker"`, `"actor":"nobody","actor":"worker"`, 1),
		"a field of other case": strings.Replace(good, `"actor"`, `"Actor"`, 1),
		"an endless line":       first + "\n" + strings.Repeat("x", 17<<20),
		"blank line":            first + "\n\n" + rest,
	} {
		if r, err := sqldb.VerifyAuditExport(strings.NewReader(text), ""); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestAuditList(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		happen(t, db, 6)
		linkAll(t, db)
		happen(t, db, 2)
		subjects := func(f sqldb.AuditFilter, limit int) []string {
			all, err := db.ListAudit(t.Context(), f, limit)
			if err != nil {
				t.Fatal(err)
			}
			var s []string
			for _, l := range all {
				if (l.Seq == 0) != (l.Hash == "") || l.LinkedAt != "" || l.ID > 6 && l.Seq != 0 || l.ID <= 6 && l.Seq != l.ID {
					t.Errorf("%+v", l)
				}
				s = append(s, l.Subject)
			}
			return s
		}
		if diff := cmp.Diff([]string{"c1", "c0", "c5"}, subjects(sqldb.AuditFilter{}, 3)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"c1", "c1"}, subjects(sqldb.AuditFilter{Subject: "c1", OrganisationID: "o1", Actor: "worker", Action: "claim sealed", Since: trailStart, Until: trailStart.Add(time.Hour)}, 100)); diff != "" {
			t.Error(diff)
		}
		if got := subjects(sqldb.AuditFilter{Subject: "' or 1=1 --"}, 100); got != nil {
			t.Errorf("a quote: %v", got)
		}
	})
}

// TestAuditManyRows links, verifies, exports and verifies the export of 100,000 rows, and
// holds no more than a few batches of them.
func TestAuditManyRows(t *testing.T) { // alone: it looks at the memory of the process
	if testing.Short() {
		t.Skip("100,000 rows")
	}
	const rows = 100_000
	db := sqldbtest.SQLite(t)
	happen(t, db, rows)
	// Rows with details of a kilobyte would be 100 MB at once.
	asOwner(t, db, `update audit set detail = hex(zeroblob(512))`)
	if n := linkAll(t, db); n != rows {
		t.Fatalf("%d rows linked", n)
	}
	before := heap()
	report := whole(t, db, rows)
	pipe, into := io.Pipe()
	go func() {
		buffered := bufio.NewWriter(into)
		_, err := db.ExportAudit(t.Context(), sqldb.AuditFilter{}, buffered)
		if err == nil {
			err = buffered.Flush()
		}
		into.CloseWithError(err)
	}()
	watched := &watcher{from: pipe}
	r, err := sqldb.VerifyAuditExport(watched, report.Head)
	if err != nil || !r.Whole || r.Links != rows || r.Noted.Seq != rows {
		t.Errorf("%+v %v", r, err)
	}
	if watched.bytes < rows*1024 {
		t.Errorf("only %d bytes were exported", watched.bytes)
	}
	if grown := int64(watched.most) - int64(before); grown > 32<<20 {
		t.Errorf("%d bytes more in use at its peak", grown)
	}
}

// heap returns what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// watcher looks every 8 MiB how much memory is in use.
type watcher struct {
	from        io.Reader
	bytes, next int
	most        uint64
}

func (w *watcher) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	w.bytes += n
	if w.bytes >= w.next {
		w.next += 8 << 20
		w.most = max(w.most, heap())
	}
	return n, err
}
