package issuance_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealsmith/sealsmith/issuance"
)

// steps is the whole table, row by row: from, then to in the order of States.
const steps = `
          open queued sealing sealed delivered failed revoked
open      -    yes    -       -      -         -      -
queued    yes  -      yes     yes    yes       -      yes
sealing   -    yes    -       yes    -         yes    yes
sealed    -    yes    -       -      yes       -      yes
delivered -    yes    -       -      -         -      yes
failed    yes  yes    -       yes    yes       -      yes
revoked   -    -      -       -      -         -      -
`

func TestStates(t *testing.T) {
	t.Parallel()
	rows := strings.Split(strings.TrimSpace(steps), "\n")
	columns := strings.Fields(rows[0])
	var names []string
	for _, s := range issuance.States() {
		names = append(names, string(s))
	}
	if diff := cmp.Diff(columns, names); diff != "" {
		t.Fatalf("states (-want +got):\n%s", diff)
	}
	if len(rows) != len(columns)+1 {
		t.Fatalf("%d rows for %d states", len(rows)-1, len(columns))
	}
	for _, row := range rows[1:] {
		cells := strings.Fields(row)
		from := issuance.State(cells[0])
		for i, cell := range cells[1:] {
			to := issuance.State(columns[i])
			if got := from.May(to); got != (cell == "yes") {
				t.Errorf("from %s to %s: %v", from, to, got)
			}
		}
	}
	for _, unknown := range []issuance.State{"", "Open", "gone"} {
		if got := unknown.Next(); len(got) != 0 {
			t.Errorf("from %q: %v", unknown, got)
		}
	}
}
