package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TestLaterSchema: a release works on, and starts on, a schema to which the next one has added; one
// of a later generation is refused in words that say what to do.
func TestLaterSchema(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	version, err := r.db.Version(t.Context())
	must(t, err)
	for _, change := range []string{
		"alter table claims add column later text not null default 'x'", "alter table credentials add column later integer", "alter table audit add column later text",
		"create table later (id text primary key)", fmt.Sprintf("insert into goose_db_version (version_id, is_applied) values (%d, 1)", version+1),
	} {
		_, err := r.db.Exec(t.Context(), change)
		must(t, err)
	}
	if said := succeed(t, r.settings, "migrate"); !strings.Contains(said, fmt.Sprint("schema ", version+1)) {
		t.Errorf("migrate: %s", said)
	}
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	_, err = r.db.Exec(t.Context(), "insert into goose_db_version (version_id, is_applied) values (?, 1)", (version/100+1)*100)
	must(t, err)
	for _, command := range []string{"serve", "worker", "migrate"} {
		if code, _, trouble := sealsmith(t, append(r.settings, "SEALSMITH_LISTEN=127.0.0.1:0"), command); code != 1 || !strings.Contains(trouble, "migrated by a newer release of Sealsmith: start that release, or restore a backup") {
			t.Errorf("%s on a later schema: exit %d: %s", command, code, trouble)
		}
	}
}

// TestGarbageInTheStream fills the queue of a running server with what is not ours, unknown claims
// and the same claim many times: it is sealed once, and the queue is empty again.
func TestGarbageInTheStream(t *testing.T) {
	t.Parallel()
	for _, on := range []string{"sqlite", "postgres"} {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if on == "postgres" {
				r.moveTo(t, postgresSchema(t))
			}
			r.garbage(t)
		})
	}
}

// garbage starts the server and fills its queue.
func (r *rig) garbage(t *testing.T) {
	t.Helper()
	r.serve(t)
	r.untilReady(t, "ready")
	r.claimable(t)
	var claim string
	must(t, r.db.Get(t.Context(), &claim, "select id from claims"))
	client := r.redisClient(t)
	const stream = "{sealsmith}:claims"
	_, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range 300 {
			for _, values := range [][]any{
				{"claim", claim}, {"claim", fmt.Sprint("unknown-", i)}, {"claim", ""}, {"claim", strings.Repeat("x", 10_000)}, {"claim", "\x00\xff"}, {"other", i},
			} {
				p.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: values})
			}
		}
		return nil
	})
	must(t, err)
	must(t, r.journey.browser.submit(t.Context(), "Claim my micro-credential", nil))
	r.untilSealed(t)
	eventually(t, func() string {
		n, err := client.XLen(t.Context(), stream).Result()
		if err == nil && n == 0 {
			return ""
		}
		return fmt.Sprintf("%d jobs are in the queue: %v", n, err)
	})
	r.wants(t, 1, "audit where action = 'sealing begun'")
	r.wants(t, 1, "audit where action = 'credential sealed'")
	r.untilReady(t, "ready")
}
