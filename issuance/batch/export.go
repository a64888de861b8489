package batch

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/sealsmith/sealsmith/grading/csvfile"
	"github.com/sealsmith/sealsmith/issuance"
)

// Words says an outcome to people, as the end of a sentence about a learner.
func (o Outcome) Words() string {
	switch o {
	case ToDo:
		return "will be done"
	case Awarded:
		return "awarded"
	case Completed:
		return "result imported, can claim"
	case Imported:
		return "result imported, not enough"
	case NotComplete:
		return "has not reached what is asked"
	case HasClaimed:
		return "has claimed or has it already"
	case Withdrawn:
		return "had one that was withdrawn or replaced"
	case NoName:
		return "no name is known"
	case NotThere:
		return "is no active learner of the course"
	case BetterOne:
		return "has a better result already"
	case Broken:
		return "could not be done"
	case Dropped:
		return "the batch was cancelled first"
	case csvfile.TroubleNobody:
		return "nobody was found"
	case csvfile.TroubleSeveral:
		return "more than one could be meant"
	case csvfile.TroubleDuplicate:
		return "stands in the file twice"
	case csvfile.TroubleValue:
		return "a cell cannot be used"
	case StillGood:
		return "has one that does not end soon"
	case NotNow:
		return "cannot be renewed just now"
	case OldResult:
		return "has no result newer than the credential"
	}
	return string(o)
}

// WriteReport writes every row of a batch as CSV, with a header: comma, UTF-8, one line
// each. Cells that a spreadsheet would take for a formula begin with an apostrophe.
func (s *Store) WriteReport(ctx context.Context, organisationID, id string, to io.Writer) error {
	out := csv.NewWriter(to)
	if err := out.Write([]string{"row", "learner id", "name", "stands", "outcome", "why", "claim"}); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	const page = 1000
	for after := 0; ; {
		rows, err := s.Rows(ctx, organisationID, id, after, page)
		if err != nil {
			return err
		}
		for _, r := range rows {
			after = r.Number
			who, why := r.Learner, r.Words
			if who == "" {
				who = r.Shown
			}
			if r.Trouble != "" {
				why = r.Trouble
			}
			line := []string{strconv.Itoa(r.Number), issuance.Inert(who), issuance.Inert(r.Name()), string(r.Stands), r.Says(), issuance.Inert(why), r.ClaimID}
			if err := out.Write(line); err != nil {
				return fmt.Errorf("write report: %w", err)
			}
		}
		if len(rows) < page {
			out.Flush()
			return out.Error()
		}
	}
}
