package csvfile

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Source is the name under which evidence from a file is kept.
const Source = "csv-file"

// Options is what a file cannot say itself.
type Options struct {
	People  People
	Maximum float64   // of rows that name none; 0: 100
	Now     time.Time // results of the future are mistakes
}

// Trouble says why a row cannot be used.
type Trouble struct {
	Code   string // one of the Trouble… constants
	Column string // as in the header of the documentation: "score"
	Words  string // what is wrong and what to do
}

// Codes of troubles. They are kept with a batch and never change.
const (
	TroubleNobody    = "nobody"    // no learner of the course is meant
	TroubleSeveral   = "several"   // more than one learner could be meant
	TroubleDuplicate = "duplicate" // another row speaks of the same learner
	TroubleValue     = "value"     // a cell has something that it must not have
)

// Row is one line of the file.
type Row struct {
	Line          int    // in the file, the header is 1 as a rule
	Learner       string // LTI subject; empty with a Trouble of who is meant
	Shown         string // whom the file names, for people
	Given, Family string // the platform's, else those of the file; may be empty
	Score         float64
	Maximum       float64
	Raw           []byte // JSON that is kept as evidence: without names and addresses
	Remark        string // nothing is wrong, but somebody should look
	Trouble       *Trouble
}

// Table is a file that was read.
type Table struct {
	SHA256  string // of the file, hex
	Rows    []Row
	Remarks []string // about the file as a whole
}

// Read reads a whole file. The error is a *FileError.
func Read(file []byte, o Options) (Table, error) {
	text, remark, err := decode(file)
	if err != nil {
		return Table{}, err
	}
	sum := sha256.Sum256(file)
	t := Table{SHA256: hex.EncodeToString(sum[:])}
	if remark != "" {
		t.Remarks = append(t.Remarks, remark)
	}
	sep, text, skipped := separator(text)
	in := csv.NewReader(strings.NewReader(text))
	in.Comma, in.FieldsPerRecord, in.LazyQuotes, in.ReuseRecord = sep, -1, true, true
	first, err := in.Read()
	if err != nil {
		return Table{}, refuse("The file has no header line. The first line has to name the columns.")
	}
	h, err := newHeader(first)
	if err != nil {
		return Table{}, err
	}
	if len(h.ignored) > 0 {
		t.Remarks = append(t.Remarks, "Columns that are not read: "+strings.Join(h.ignored[:min(len(h.ignored), 10)], ", ")+".")
	}
	if !h.has(colMaximum) && !h.percent && o.Maximum == 0 {
		t.Remarks = append(t.Remarks, "No column names the maximum: every score is taken as one of 100.")
	}
	r := rows{table: &t, header: h, find: o.People.lookup(), options: o, skipped: skipped, before: map[string]int{}}
	if err := r.all(in); err != nil {
		return Table{}, err
	}
	return t, nil
}

// rows reads the lines below the header.
type rows struct {
	table   *Table
	header  header
	find    lookup
	options Options
	skipped int
	before  map[string]int // learner to the index of the first row
}

func (r *rows) all(in *csv.Reader) error {
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := in.FieldPos(0)
		line += r.skipped
		if err != nil {
			return refuse(fmt.Sprintf("Line %d cannot be read: %v. Look for a quotation mark without its partner.", line, errors.Unwrap(err)))
		}
		if blank(cells) {
			continue
		}
		if len(r.table.Rows) == MaxRows {
			return refuse("The file has more than 100,000 rows. Make several files of it.")
		}
		r.add(line, cells)
	}
	if len(r.table.Rows) == 0 {
		return refuse("Below the header the file has no rows. Choose another one.")
	}
	return nil
}

func blank(cells []string) bool {
	for _, c := range cells {
		if tidy(c) != "" {
			return false
		}
	}
	return true
}

func (r *rows) add(line int, cells []string) {
	row := Row{Line: line}
	if len(cells) > r.header.cells && !blank(cells[r.header.cells:]) {
		row.Trouble = &Trouble{TroubleValue, "", fmt.Sprintf("The line has %d cells, the header %d. Put cells that have the separator in them between quotation marks.", len(cells), r.header.cells)}
	}
	r.who(&row, cells)
	if row.Trouble == nil {
		r.values(&row, cells)
	}
	if row.Trouble == nil {
		r.duplicate(&row)
	}
	r.table.Rows = append(r.table.Rows, row)
}

// duplicate refuses a second row about a learner; when the two differ, the first as well,
// for nobody can know which one is right.
func (r *rows) duplicate(row *Row) {
	i, twice := r.before[row.Learner]
	if !twice {
		r.before[row.Learner] = len(r.table.Rows)
		return
	}
	first := &r.table.Rows[i]
	if first.Score == row.Score && first.Maximum == row.Maximum {
		row.Trouble = &Trouble{TroubleDuplicate, "", fmt.Sprintf("Line %d says the same of this learner. Nothing has to be done.", first.Line)}
		return
	}
	row.Trouble = &Trouble{TroubleDuplicate, "", fmt.Sprintf("Line %d has another result of this learner. Leave only the right one in the file.", first.Line)}
	if first.Trouble == nil {
		first.Trouble = &Trouble{TroubleDuplicate, "", fmt.Sprintf("Line %d has another result of this learner. Leave only the right one in the file.", row.Line)}
	}
}
