package issuance

import "context"

// Direct takes jobs from the rows.
func (w *Worker) Direct(ctx context.Context) ([]Job, error) { return w.direct(ctx) }

// Name is the beginning of the worker's lease tokens.
func (w *Worker) Name() string { return w.name() }

// ErrLeaseLost lets tests tell a worker that came too late from one that failed.
var ErrLeaseLost = errLeaseLost
