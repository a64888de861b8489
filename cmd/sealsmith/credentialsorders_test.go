package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// copies adds n credentials that look like the one that was sealed, and returns their ids.
func (r *rig) copies(t *testing.T, n int) []string {
	t.Helper()
	ids := make([]string, n)
	must(t, r.db.InTx(t.Context(), func(tx *sqldb.Tx) error {
		for i := range n {
			ids[i] = uuid.NewString()
			claim := uuid.Must(uuid.NewV7()).String()
			_, err := tx.Exec(t.Context(), `insert into claims (id, organisation_id, attachment_id, decision_id, version_id, registration_id, learner, state,
				given_name, family_name, attempts, not_before, lease_token, last_error, created_at, updated_at)
				select ?, organisation_id, attachment_id, decision_id, version_id, registration_id, ?, 'delivered', 'Ada', 'Copy', 0, not_before, '', '', created_at, updated_at
				from claims where learner not like 'copy-%'`, claim, "copy-"+claim)
			if err != nil {
				return err
			}
			_, err = tx.Exec(t.Context(), `insert into credentials (id, organisation_id, claim_id, issued_at, payload, payload_sha256, key_id, sealed, sealed_at, link, created_at)
				select ?, organisation_id, ?, issued_at, ?, '', key_id, ?, sealed_at, ?, created_at from credentials where payload_sha256 <> ''`, ids[i], claim, []byte("{}"), []byte("{}"), claim)
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return ids
}

// TestOrders revokes many credentials as an operator does: with a dry run, with the number
// that it said, with a second person, and with a command that is killed in the middle while a
// server runs.
func TestOrders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	id, link := r.credential(t)
	var attachment string
	must(t, r.db.Get(t.Context(), &attachment, `select id from attachments`))
	replace := map[string]string{"ID": id, "PAGE": r.url + "/c/" + link, "ACTIVITY": attachment}

	succeed(t, r.settings, "organisations", "revoking", "polder", "--people", "2", "--by", "Anna")
	if code, _, trouble := sealsmith(t, r.settings, "credentials", "revoke", id, "--reason", "misconduct"); code != 1 || !strings.Contains(trouble, "give your name: --by NAME") {
		t.Errorf("nobody: exit %d, %s", code, trouble)
	}
	types(t, r.settings, replace,
		command{"organisations list", 0, "(?m)^polder .*two people$"},
		command{"credentials revoke $ID --reason misconduct --dry-run", 0, "would be revoked, once a second person has confirmed it"},
		command{"credentials revoke $ID --reason misconduct --by 'Anna:1'", 1, "--by takes a name"},
		command{"credentials revoke $ID --reason misconduct --because 'The exam was read aloud.' --by Anna", 0, `0 revoked, 1 wait for a second person, 0 refused`},
		command{"credentials orders list --waiting", 0, `(?m)^([0-9a-f-]{36}) .*operator:anna .*waits for a second person$`})
	code, out, trouble := sealsmith(t, r.settings, "credentials", "revoke", r.url+"/c/"+link, "--reason", "misconduct", "--by", "Ben")
	if code != 1 || !strings.Contains(out, "0 revoked, 1 refused.") || !strings.Contains(trouble, "it waits for a second person") {
		t.Errorf("exit %d, %s%s", code, out, trouble)
	}
	replace["ORDER"] = replace["WORD"]
	types(t, r.settings, replace,
		command{"credentials show $ID", 0, "order $WORD to revoke it waits"},
		command{"credentials orders show $ORDER", 0, `(?s)waits until.*did not come about honestly. The exam was read aloud.*1: 0 revoked, 0 already, 0 failed, 1 left.*not tried yet`},
		command{"credentials orders confirm $ORDER --by '  anna '", 1, "whoever has asked cannot decide"},
		command{"credentials orders run $ORDER", 1, "waits for a second person"},
		command{"credentials orders withdraw $ORDER --by Ben", 1, "nobody else can take it back"},
		command{"credentials orders withdraw $ORDER --by Anna", 0, "Taken back"},
		command{"credentials suspend $ID --reason misconduct --by Anna", 0, "is suspended since"},
		command{"credentials revoke $ID --reason misconduct --by Anna", 0, `Order ([0-9a-f-]{36}) over 1 waits`},
		command{"credentials orders decline $WORD --by Ben", 0, "Declined"},
		command{"credentials revoke $ID --reason misconduct --by Anna", 0, `Order ([0-9a-f-]{36}) over 1 waits`},
		command{"credentials orders confirm nonsense --by Ben", 1, "order nonsense: there is none in this organisation \\(sealsmith credentials orders list\\)"},
		command{"corrections show nonsense", 1, "correction nonsense: there is none in this organisation \\(sealsmith corrections list --state all\\)"})
	r.wantStanding(t, id, "suspended", "not-valid")
	types(t, r.settings, replace,
		command{"credentials orders confirm $WORD --by Ben", 0, "1 revoked, 0 already revoked, 0 failed"},
		command{"credentials orders confirm $WORD --by Cleo", 1, "does not wait any more"},
		command{"credentials orders list --waiting", 0, "There is no such order."},
		command{"credentials show $ID", 0, "by operator:anna, confirmed by operator:ben, misconduct"},
		command{"organisations revoking polder --people 1", 0, "One person revokes"})
	r.wantStanding(t, id, "revoked", "not-valid")
	r.bulk(t, replace)
}

// bulk revokes copies of the credential, which is revoked itself.
func (r *rig) bulk(t *testing.T, replace map[string]string) {
	t.Helper()
	few := r.copies(t, 3)
	list := filepath.Join(t.TempDir(), "list")
	must(t, os.WriteFile(list, fmt.Appendf(nil, "# a comment\n\n%s\n%s\nnobody\n%s\n%s\n", few[0], few[1], replace["ID"], few[0]), 0o600))
	replace["LIST"], replace["FEW"] = list, few[2]
	types(t, r.settings, replace,
		command{"credentials revoke --reason wrong_content --from $LIST", 1, `say how many you expect`},
		command{"credentials revoke --reason wrong_content --from $LIST --expect 3", 1, `3 were expected, there are 2 now`},
		command{"credentials revoke --reason wrong_content --attachment $ACTIVITY --dry-run", 0, `(?s)sealed .*, in force: would be revoked.*Nothing was done: 3 would be revoked. To do it, put --expect 3`},
		command{"credentials revoke --reason wrong_content --attachment $ACTIVITY --sealed-until 2020-01-01T00:00:00Z --expect 3", 1, `there are 0 now`},
		command{"credentials revoke --reason wrong_content --attachment none --dry-run", 0, `^Nothing was done, and nothing would be: no credential .* fits.*\n$`},
		command{"credentials list --limit 2", 0, `These are the newest 2; --limit shows more.\n$`},
		command{"credentials show $FEW", 0, `(?s)\nactivity +[0-9a-f-]{36}\n.*template version +[0-9a-f-]{36}\n`},
		command{"credentials revoke --reason wrong_content --sealed-from 2020-01-01 --sealed-until 2021-01-01 --dry-run", 0, `^Nothing was done`},
		command{"credentials revoke --reason wrong_content --sealed-from 2021-01-01 --sealed-until 2020-01-01 --dry-run", 2, `has to be later`},
		command{"credentials revoke --reason wrong_content --sealed-from yesterday --dry-run", 2, `--sealed-from`},
		command{"credentials revoke --reason wrong_content --from /dev/null --dry-run", 1, `the list names no credential`},
		command{"credentials revoke --reason wrong_content --from /nowhere --expect 1", 1, `open the list`},
		command{"credentials revoke $FEW --reason wrong_content --from $LIST", exitUsage, `ids stand alone`})
	code, out, trouble := sealsmith(t, r.settings, "credentials", "revoke", "--reason", "wrong_content", "--from", list, "--expect", "2", "--by", "Anna")
	if code != 1 || !strings.Contains(out, "2 revoked, 0 already revoked, 0 failed.") || !strings.Contains(trouble, "credential nobody") || !strings.Contains(trouble, "it is revoked since") {
		t.Errorf("exit %d, %s%s", code, out, trouble)
	}

	const many = 2000
	r.copies(t, many)
	p := start(t, r.settings, "credentials", "revoke", "--reason", "other", "--because", "The list was another.", "--attachment", replace["ACTIVITY"], "--expect", fmt.Sprint(many+1), "--by", "Anna")
	eventually(t, func() string {
		if n := r.count(t, "withdrawal_items where outcome = 'revoked'"); n < many/10 {
			return fmt.Sprintf("%d revoked; %s", n, p.err.String())
		}
		return ""
	})
	if code := p.end(t, syscall.SIGKILL); code != -1 {
		t.Errorf("the command had ended with %d before it was killed", code)
	}
	eventually(t, func() string { // the server goes on
		if n := r.count(t, "withdrawal_requests where state = 'confirmed' and done_at is null"); n > 0 {
			return fmt.Sprintf("%d orders are not done", n)
		}
		return ""
	})
	var listed struct{ Orders []givenOrder }
	must(t, json.Unmarshal([]byte(succeed(t, r.settings, "credentials", "orders", "list", "--json", "--limit", "1")), &listed))
	if len(listed.Orders) != 1 || listed.Orders[0].Revoked != many+1 || listed.Orders[0].State != issuance.OrderConfirmed || listed.Orders[0].Selection.AttachmentID != replace["ACTIVITY"] {
		t.Fatalf("%+v", listed)
	}
	replace["ORDER"] = listed.Orders[0].ID
	types(t, r.settings, replace,
		command{"credentials orders run $ORDER", 0, fmt.Sprintf("%d revoked, 0 already revoked, 0 failed", many+1)},
		command{"credentials orders show $ORDER --limit 1 --json", 0, `"outcome": "revoked"`})
	r.wants(t, many+1, "withdrawals where request_id = '"+replace["ORDER"]+"'")
	r.wants(t, many+1, "audit where action = 'credential revoked' and actor = 'operator:anna' and detail like '%order "+replace["ORDER"]+"%'")
	r.wants(t, 0, "claims where state = 'delivered'")
}
