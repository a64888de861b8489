package issuance

import (
	"context"
	"sync"
	"time"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// inTx is DB.InTx in a group with the other claims of this worker: three times a credential
// something is written to the disk that must be there before the next step, and the disk takes
// as long for one as for ten.
func (w *Worker) inTx(ctx context.Context, do func(tx *sqldb.Tx) error) error {
	w.grouped.Do(func() { w.group.DB = w.DB })
	return w.group.InTx(ctx, do)
}

// finish takes jobs out of the queue, all that have come to an end meanwhile in one call.
func (w *Worker) finish(ctx context.Context, ended <-chan Job) {
	for job := range ended {
		jobs := []Job{job}
		for more := true; more && len(jobs) < finishMost; {
			select {
			case next, open := <-ended:
				if more = open; open {
					jobs = append(jobs, next)
				}
			default:
				more = false
			}
		}
		if err := w.Jobs.Done(ctx, jobs...); err != nil {
			w.Logger.WarnContext(ctx, "jobs not taken out of the queue", "jobs", len(jobs), "claim_id", job.ID, "err", err)
		}
	}
}

const finishMost = 64

// knownFor is how long a worker goes by what it has read of an organisation. Who edits one
// must expect that what is being sealed in this moment is sealed as it was.
const knownFor = time.Second

// known is what a worker has read and what serves for the next claim, too.
type known struct {
	mu            sync.Mutex
	organisations map[string]knownOrganisation
	versions      map[[2]string]templates.Version // by organisation and id; they never change
}

type knownOrganisation struct {
	templates.Organisation
	at time.Time // when it was read
}

// knownMost bounds what is kept of either.
const knownMost = 256

func (w *Worker) organisation(ctx context.Context, id string) (templates.Organisation, error) {
	now := w.Now()
	w.known.mu.Lock()
	o, ok := w.known.organisations[id]
	w.known.mu.Unlock()
	if age := now.Sub(o.at); ok && age >= 0 && age < knownFor {
		return o.Organisation, nil
	}
	read, err := w.Templates.Organisation(ctx, id)
	if err != nil {
		return read, err
	}
	w.known.mu.Lock()
	defer w.known.mu.Unlock()
	if w.known.organisations == nil || len(w.known.organisations) >= knownMost {
		w.known.organisations = map[string]knownOrganisation{}
	}
	w.known.organisations[id] = knownOrganisation{read, now}
	return read, nil
}

func (w *Worker) version(ctx context.Context, organisationID, id string) (templates.Version, error) {
	key := [2]string{organisationID, id}
	w.known.mu.Lock()
	v, ok := w.known.versions[key]
	w.known.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := w.Templates.Version(ctx, organisationID, id)
	if err != nil {
		return v, err
	}
	w.known.mu.Lock()
	defer w.known.mu.Unlock()
	if w.known.versions == nil || len(w.known.versions) >= knownMost {
		w.known.versions = map[[2]string]templates.Version{}
	}
	w.known.versions[key] = v
	return v, nil
}
