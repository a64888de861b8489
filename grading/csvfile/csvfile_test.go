package csvfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/lti"
)

var now = time.Date(2026, time.November, 28, 12, 0, 0, 0, time.UTC)

func member(subject, given, family, email, number string) lti.Member {
	return lti.Member{UserID: subject, Status: lti.MemberActive, Roles: []string{"Learner"}, GivenName: given, FamilyName: family, Email: email, SourcedID: number}
}

// class has two learners, two with one address, a teacher and one who has left.
func class() csvfile.People {
	teacher, left := member("teacher", "T", "Eacher", "t@polder.example", "1"), member("left", "L", "Eft", "left@polder.example", "2")
	teacher.Roles, left.Status = []string{"Instructor"}, lti.MemberInactive
	whole := member("joost", "", "", "Joost@polder.example", "s-2")
	whole.Name = "Joost Müller"
	return csvfile.Learners(lti.Roster{Members: []lti.Member{
		member("noor", "Noor", "van den Berg", "noor@polder.example", "s-1"), whole,
		member("a", "A", "Twin", "twin@polder.example", ""), member("b", "B", "Twin", "twin@polder.example", ""), teacher, left,
	}})
}

func read(tb testing.TB, file string) csvfile.Table {
	tb.Helper()
	t, err := csvfile.Read([]byte(file), csvfile.Options{People: class(), Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// good wants one row without trouble.
func good(tb testing.TB, file string) csvfile.Row {
	tb.Helper()
	t := read(tb, file)
	if len(t.Rows) != 1 || t.Rows[0].Trouble != nil {
		tb.Fatalf("%+v %+v", t.Rows, t.Rows[0].Trouble)
	}
	return t.Rows[0]
}

func TestPlainFile(t *testing.T) {
	t.Parallel()
	table := read(t, "learner id,score,maximum,date,evidence\nnoor,17,20,2026-11-20,https://exams.example/7\njoost,9,20,,\n")
	if len(table.Rows) != 2 || len(table.SHA256) != 64 || len(table.Remarks) != 0 {
		t.Fatalf("%+v", table)
	}
	noor, joost := table.Rows[0], table.Rows[1]
	if noor.Line != 2 || noor.Learner != "noor" || noor.Given != "Noor" || noor.Family != "van den Berg" || noor.Score != 17 || noor.Maximum != 20 || noor.Trouble != nil {
		t.Errorf("%+v", noor)
	}
	want := `{"file_sha256":"` + table.SHA256 + `","line":2,"learner":"noor","score":"17","maximum":20,"date":"2026-11-20","evidence":"https://exams.example/7"}`
	if string(noor.Raw) != want {
		t.Errorf("%s\nwant %s", noor.Raw, want)
	}
	if joost.Line != 3 || joost.Given != "" || joost.Family != "Joost Müller" {
		t.Errorf("%+v", joost)
	}
}

// TestForms: one result, in the forms in which people save it.
func TestForms(t *testing.T) {
	t.Parallel()
	wide := func(order binary.AppendByteOrder, mark string) string {
		out := []byte(mark)
		for _, u := range utf16.Encode([]rune("e-mail\tname\tscore\r\njoost@polder.example\tJoost Müller\t85,5\r\n")) {
			out = order.AppendUint16(out, u)
		}
		return string(out)
	}
	for name, file := range map[string]string{
		"comma":             "email,score\njoost@polder.example,85.5\n",
		"semicolon":         "E-Mail;Score\r\nJOOST@polder.example;85,5\r\n",
		"tab":               "e-mail\tscore\njoost@polder.example\t85,5",
		"byte order mark":   "\ufeffEmail address;Punkte\njoost@polder.example;85,5\n",
		"sep line":          "sep=;\r\nEmail;Score\r\njoost@polder.example;85,5\r\n",
		"quotes":            "\"Email\";\"Name\";\"Score\"\n\"joost@polder.example\";\"Müller, Joost\";\"85,5\"\n",
		"quoted newline":    "\"E-mail\";\"Score\";\"Evidence\"\njoost@polder.example;85,5;\"two\nlines\"\n",
		"windows-1252":      "Email;Name;Score\njoost@polder.example;Joost M\xfcller;85,5\n",
		"utf-16 le":         wide(binary.LittleEndian, "\xff\xfe"),
		"utf-16 be":         wide(binary.BigEndian, "\xfe\xff"),
		"percent sign":      "email,maximum,score\njoost@polder.example,20,85.5 %\n",
		"moodle":            "First name,Last name,ID number,Email address,Course total (Percentage)\nJoost,Müller,s-2,joost@polder.example,\"85,5 %\"\n",
		"number":            "student number,score\ns-2,85.5\n",
		"apostrophe":        "student number,score\n's-2,85.5\n",
		"formula text":      "student number,score\n\"=\"\"s-2\"\"\",85.5\n",
		"no-break spaces":   "email;score\n\u00a0joost@polder.example\u00a0;\u202f85,5\n",
		"empty lines":       "email;score\n\n;\njoost@polder.example;85,5\n;;\n\n",
		"columns in excess": "email;score;;\njoost@polder.example;85,5;;\n",
		"unknown columns":   "Section;email;Feedback;score\nA;joost@polder.example;well done;85,5\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := good(t, file)
			if row.Learner != "joost" || row.Score != 85.5 || row.Maximum != 100 || row.Family != "Joost Müller" || row.Remark != "" {
				t.Errorf("%+v", row)
			}
		})
	}
}

// TestTroubles: each row is told with its line, its column and what to do.
func TestTroubles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ row, code, column, words string }{
		{"nobody;;80;;", csvfile.TroubleNobody, "learner id", "No learner of the course is “nobody”"},
		{"teacher;;80;;", csvfile.TroubleNobody, "learner id", "No learner"},
		{"left;;80;;", csvfile.TroubleNobody, "learner id", "No learner"},
		{";;80;;", csvfile.TroubleNobody, "learner id", "names nobody"},
		{";twin@polder.example;80;;", csvfile.TroubleSeveral, "e-mail", "2 learners"},
		{"noor;joost@polder.example;80;;", csvfile.TroubleSeveral, "learner id", "different learners"},
		{"2,01812E+11;;80;;", csvfile.TroubleNobody, "learner id", "rounded"},
		{"noor;;;;", csvfile.TroubleValue, "score", "“” is no number"},
		{"noor;;passed;;", csvfile.TroubleValue, "score", "“passed” is no number"},
		{"noor;;-3;;", csvfile.TroubleValue, "score", "no number"},
		{"noor;;1e5;;", csvfile.TroubleValue, "score", "no number"},
		{"noor;;0x10;;", csvfile.TroubleValue, "score", "no number"},
		{"noor;;17/20;;", csvfile.TroubleValue, "score", "no number"},
		{"noor;;#DIV/0!;;", csvfile.TroubleValue, "score", "no number"},
		{"noor;;1,2,3;;", csvfile.TroubleValue, "score", "no number"},
		{"noor;;85;10;", csvfile.TroubleValue, "score", "more than twice the maximum, 10"},
		{"noor;;85;0;", csvfile.TroubleValue, "maximum", "“0” is no maximum"},
		{"noor;;85;much;", csvfile.TroubleValue, "maximum", "“much” is no maximum"},
		{"noor;;85;;11/12/2026", csvfile.TroubleValue, "date", "more than one way"},
		{"noor;;85;;2027-01-01", csvfile.TroubleValue, "date", "cannot be the day"},
		{"noor;;85;;1885-01-01", csvfile.TroubleValue, "date", "cannot be the day"},
		{"noor;;85;;2026-01-01;more", csvfile.TroubleValue, "", "6 cells, the header 5"},
	} {
		table := read(t, "learner id;e-mail;score;maximum;date\n"+test.row+"\njoost;;70;;28.11.2026\n")
		if len(table.Rows) != 2 {
			t.Fatalf("%s: %+v", test.row, table.Rows)
		}
		bad, ok := table.Rows[0], table.Rows[1]
		if tr := bad.Trouble; tr == nil || tr.Code != test.code || tr.Column != test.column || !strings.Contains(tr.Words, test.words) || bad.Line != 2 || len(bad.Raw) != 0 {
			t.Errorf("%s: %+v %+v", test.row, bad, bad.Trouble)
		}
		if ok.Trouble != nil || ok.Learner != "joost" {
			t.Errorf("the row after %s: %+v", test.row, ok.Trouble)
		}
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	table := read(t, "learner id;score\nnoor;80\njoost;70\nnoor;80\njoost;75\na;60\n")
	var troubled []int
	for _, r := range table.Rows {
		if r.Trouble != nil {
			troubled = append(troubled, r.Line)
			if r.Trouble.Code != csvfile.TroubleDuplicate {
				t.Errorf("%+v", r.Trouble)
			}
		}
	}
	if fmt.Sprint(troubled) != "[3 4 5]" {
		t.Errorf("lines with trouble: %v", troubled)
	}
}

func TestNamesOfTheFile(t *testing.T) {
	t.Parallel()
	if row := good(t, "learner id;name;score\nnoor;Berg van den, Noor;80\n"); row.Remark != "" {
		t.Errorf("%+v", row)
	}
	row := good(t, "learner id;name;score\nnoor;Nora Berg;80\n")
	if row.Family != "van den Berg" || !strings.Contains(row.Remark, "“Nora Berg”") {
		t.Errorf("%+v", row)
	}
	// Without a roster only who is known here can be meant, and the file tells the names.
	table, err := csvfile.Read([]byte("learner id;given name;family name;score\nnoor;Noor;van den Berg;80\njoost;J;M;80\n"),
		csvfile.Options{People: csvfile.Nobody("It did not answer.").With("noor"), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if noor := table.Rows[0]; noor.Trouble != nil || noor.Given != "Noor" || noor.Family != "van den Berg" {
		t.Errorf("%+v", noor)
	}
	if joost := table.Rows[1]; joost.Trouble == nil || !strings.Contains(joost.Trouble.Words, "open the activity once") {
		t.Errorf("%+v", joost.Trouble)
	}
}

func TestUnusableFiles(t *testing.T) {
	t.Parallel()
	long := "learner id,score\n" + strings.Repeat("noor,1\n", csvfile.MaxRows+1)
	for name, test := range map[string]struct{ file, words string }{
		"empty":          {" \n\t", "empty"},
		"workbook":       {"PK\x03\x04rest", "CSV UTF-8"},
		"old workbook":   {"\xd0\xcf\x11\xe0rest", "CSV UTF-8"},
		"pdf":            {"%PDF-1.7", "PDF"},
		"binary":         {"score,sub\n\x00\x01,2", "no text file"},
		"no learner":     {"score\n80\n", "No column says who is meant"},
		"no score":       {"learner id\nnoor\n", "No column has the results"},
		"two scores":     {"learner id,score,grade\nnoor,1,2\n", "“score” and “grade”"},
		"no rows":        {"learner id,score\n\n", "no rows"},
		"no header":      {"noor,80\njoost,70\n", "No column"},
		"too many rows":  {long, "100,000"},
		"too many bytes": {"learner id,score\n" + strings.Repeat(" ", csvfile.MaxBytes), "10 MB"},
	} {
		_, err := csvfile.Read([]byte(test.file), csvfile.Options{People: class(), Now: now})
		var refusal *csvfile.FileError
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Words, test.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMostRows(t *testing.T) {
	t.Parallel()
	var roster lti.Roster
	var file bytes.Buffer
	file.WriteString("learner id;score\n")
	for i := range csvfile.MaxRows {
		id := fmt.Sprint("l", i)
		roster.Members = append(roster.Members, member(id, "N", "B", "", ""))
		fmt.Fprintf(&file, "%s;%d\n", id, i%101)
	}
	table, err := csvfile.Read(file.Bytes(), csvfile.Options{People: csvfile.Learners(roster), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	last := table.Rows[len(table.Rows)-1]
	if len(table.Rows) != csvfile.MaxRows || last.Line != csvfile.MaxRows+1 || last.Trouble != nil {
		t.Errorf("%d rows, the last %+v", len(table.Rows), last)
	}
}

// FuzzRead: whatever a file has, nothing panics, and every row either names a learner of
// the course with a usable score or says why not.
func FuzzRead(f *testing.F) {
	f.Add([]byte("learner id;score;maximum;date\nnoor;85,5;100;2026-11-01\n"))
	f.Add([]byte("sep=,\nemail,score\n\"twin@polder.example\",\"1\n"))
	f.Add([]byte("\xff\xfes\x00c\x00"))
	people := class()
	f.Fuzz(func(t *testing.T, file []byte) {
		table, err := csvfile.Read(file, csvfile.Options{People: people, Now: now})
		if err != nil {
			var refusal *csvfile.FileError
			if !errors.As(err, &refusal) || refusal.Words == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, r := range table.Rows {
			if r.Trouble != nil {
				if r.Trouble.Code == "" || r.Trouble.Words == "" {
					t.Fatalf("%+v", r.Trouble)
				}
				continue
			}
			if _, known := people.Find(r.Learner); !known || seen[r.Learner] || r.Score < 0 || !(r.Maximum > 0) || len(r.Raw) == 0 {
				t.Fatalf("%+v", r)
			}
			seen[r.Learner] = true
		}
	})
}
