package issuance

import "context"

// Direct takes jobs from the rows.
func (w *Worker) Direct(ctx context.Context) ([]Job, error) { return w.direct(ctx) }

// Name is the beginning of the worker's lease tokens.
func (w *Worker) Name() string { return w.name() }

// SearchQueries are the two queries of a search, for whoever asks the database how it would
// answer them.
func SearchQueries(s Search) (keys string, args []any, rows string) {
	q := newListing(s)
	return q.text, q.args, listedFrom + marks(1) + `)`
}

// ErrLeaseLost lets tests tell a worker that came too late from one that failed.
var ErrLeaseLost = errLeaseLost

// The steps of a worker that are SQL, for the measure of what a claim costs.
func (w *Worker) Take(ctx context.Context, claimID string) (Claim, error) {
	return w.lease(ctx, claimID)
}
func (w *Worker) Intend(ctx context.Context, c Claim, cred Credential) error {
	return w.intent(ctx, c, cred)
}
func (w *Worker) Keep(ctx context.Context, c Claim, cred Credential) error {
	return w.keep(ctx, c, cred)
}
