package issuance

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealsmith/sealsmith/migrations/sqldb"
	"github.com/sealsmith/sealsmith/templates"
)

// What keeps an order from being given or decided.
var (
	ErrSecondPerson = errors.New("this takes two people: it has to be asked for, and somebody else confirms it")
	ErrSamePerson   = errors.New("whoever has asked cannot decide about it, and nobody else can take it back")
	ErrNobody       = errors.New("this takes two people, so it must be known who each of them is: give your name")
	ErrCount        = errors.New("the number of credentials has changed since it was counted")
)

// Operator is who works on the command line without a name. With one it is Operator, a colon
// and the name.
const Operator = "operator"

// OrderState is where an order to revoke stands.
type OrderState string

// The states of an order.
const (
	OrderAsked     OrderState = "asked"     // waits for a second person
	OrderConfirmed OrderState = "confirmed" // is carried out, or was; orders for one person begin here
	OrderDeclined  OrderState = "declined"  // the second person does not agree
	OrderWithdrawn OrderState = "withdrawn" // whoever asked has taken it back
	OrderExpired   OrderState = "expired"   // nobody has decided in time
)

// OrderStates lists all states of an order.
func OrderStates() []OrderState {
	return []OrderState{OrderAsked, OrderConfirmed, OrderDeclined, OrderWithdrawn, OrderExpired}
}

// Next returns the states that may follow s.
func (s OrderState) Next() []OrderState {
	if s == OrderAsked {
		return []OrderState{OrderConfirmed, OrderDeclined, OrderWithdrawn, OrderExpired}
	}
	return nil
}

// May reports whether next may follow s.
func (s OrderState) May(next OrderState) bool { return slices.Contains(s.Next(), next) }

// OrderPatience is how long an order waits for a second person.
const OrderPatience = 30 * 24 * time.Hour

// Order is an order to revoke one credential or many for one reason. It carries what is left
// to do: whoever finds it after a crash goes on (Desk.Step).
type Order struct {
	ID             string
	OrganisationID string
	Selection      Selection // without its ids
	Reason         Reason
	Words          string
	State          OrderState
	Second         bool // a second person has to confirm
	Total          int  // credentials
	AskedBy        string
	AskedAt        time.Time
	ExpiresAt      time.Time // while it is asked
	DecidedBy      string    // empty: nobody has; of an order for one person it is who asked
	DecidedAt      time.Time
	DoneAt         time.Time // zero: there is something left to do
	// What has become of the credentials so far.
	Revoked, Already, Failed int
}

// Left is how many credentials are not tried yet.
func (o Order) Left() int { return o.Total - o.Revoked - o.Already - o.Failed }

// Running reports whether it is being carried out.
func (o Order) Running() bool { return o.State == OrderConfirmed && o.DoneAt.IsZero() }

// Ask says what to revoke, why, and how many that were when they were counted.
type Ask struct {
	Selection Selection
	Reason    Reason
	Words     string // as in Withdrawal
	By        string // as in Withdrawal; where a second person is needed, not a nameless Operator
	Expect    int
}

// AskRevoke gives an order. The credentials are those that the selection is about now, and
// what comes later is not among them. Where no second person is needed it is confirmed at
// once; in either case Step carries it out. It fails with ErrReason, ErrSelection, ErrCount
// when there are not as many as expected, ErrNobody, or, for a single credential, in words
// that fit, ErrState.
func (d *Desk) AskRevoke(ctx context.Context, a Ask) (Order, error) {
	w, err := Withdrawal{OrganisationID: a.Selection.OrganisationID, Reason: a.Reason, Words: a.Words, By: a.By}.clean(ActRevoke)
	if err != nil {
		return Order{}, err
	}
	if err := a.Selection.Check(); err != nil {
		return Order{}, err
	}
	at := sqldb.UTC(d.now())
	o := Order{
		ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: w.OrganisationID, Selection: a.Selection, Reason: w.Reason, Words: w.Words,
		State: OrderAsked, AskedBy: a.By, AskedAt: at, ExpiresAt: at.Add(OrderPatience),
	}
	err = d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		if err := d.insertOrder(ctx, tx, &o, a.Expect); err != nil {
			return err
		}
		action := "revocation asked"
		if !o.Second {
			action = "revocation ordered"
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: o.OrganisationID, At: at, Actor: o.AskedBy, Action: action, Subject: o.ID,
			Detail: fmt.Sprintf("%d credentials, %s", o.Total, o.Reason),
		})
	})
	if err != nil {
		return Order{}, err
	}
	o.Selection.IDs = nil
	return o, nil
}

func (d *Desk) insertOrder(ctx context.Context, tx *sqldb.Tx, o *Order, expect int) error {
	selection, err := json.Marshal(o.Selection)
	if err != nil {
		return fmt.Errorf("encode the selection: %w", err)
	}
	if len(o.Selection.IDs) == 1 {
		if err := d.mayAskFor(ctx, tx, *o, o.Selection.IDs[0]); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `insert into withdrawal_requests (id, organisation_id, selection, reason, words, state, second, total, asked_by, asked_at, expires_at, decided_by)
		values (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, '')`,
		o.ID, o.OrganisationID, string(selection), o.Reason, o.Words, o.State, true, o.AskedBy, o.AskedAt, o.ExpiresAt)
	if err != nil {
		return fmt.Errorf("store an order: %w", err)
	}
	err = o.Selection.where(func(condition string, args []any) error {
		n, err := tx.Exec(ctx, `insert into withdrawal_items (request_id, credential_id, organisation_id, outcome, cause)
			select ?, l.credential_id, l.organisation_id, '', '' from credential_listing l where `+condition+` on conflict do nothing`, append([]any{o.ID}, args...)...)
		if err != nil {
			return fmt.Errorf("store what an order is about: %w", err)
		}
		o.Total += int(n)
		return nil
	})
	if err != nil {
		return err
	}
	if o.Total != expect {
		return fmt.Errorf("%w: %d were expected, there are %d now", ErrCount, expect, o.Total)
	}
	if o.Total == 0 {
		return refused{"there is no credential to revoke"}
	}
	return d.secondOf(ctx, tx, o)
}

// secondOf finds out whether the order waits for somebody, and stores that.
func (d *Desk) secondOf(ctx context.Context, tx *sqldb.Tx, o *Order) error {
	var versions []string
	err := tx.Select(ctx, &versions, `select distinct l.version_id from withdrawal_items i join credential_listing l on l.credential_id = i.credential_id
		where i.organisation_id = ? and i.request_id = ?`, o.OrganisationID, o.ID)
	if err != nil {
		return fmt.Errorf("list the versions of an order: %w", err)
	}
	if o.Second, err = templates.RevokingTakesTwo(ctx, tx, o.OrganisationID, versions); err != nil {
		return err
	}
	decided := sql.NullTime{}
	switch {
	case !o.Second:
		o.State, o.DecidedBy, o.DecidedAt = OrderConfirmed, o.AskedBy, o.AskedAt
		decided = sql.NullTime{Time: o.AskedAt, Valid: true}
	case !named(o.AskedBy):
		return ErrNobody
	}
	_, err = tx.Exec(ctx, `update withdrawal_requests set state = ?, second = ?, total = ?, decided_by = ?, decided_at = ? where organisation_id = ? and id = ?`,
		o.State, o.Second, o.Total, o.DecidedBy, decided, o.OrganisationID, o.ID)
	if err != nil {
		return fmt.Errorf("store an order: %w", err)
	}
	return nil
}

func named(by string) bool { return by != "" && by != Operator }

// mayAskFor refuses a second order for one credential while the first one waits or runs.
func (d *Desk) mayAskFor(ctx context.Context, tx *sqldb.Tx, o Order, credentialID string) error {
	if err := hold(ctx, tx, o.OrganisationID, credentialID); err != nil {
		return err
	}
	now, err := ofOrganisation(ctx, tx, o.OrganisationID, credentialID)
	if err != nil {
		return err
	}
	if err := now.May(ActRevoke); err != nil {
		return err
	}
	open, err := d.ordersOf(ctx, tx, o.OrganisationID, credentialID)
	if err != nil {
		return err
	}
	for _, other := range open {
		if other.State == OrderAsked {
			return refused{"somebody has asked for this on " + day(other.AskedAt) + "; it waits for a second person"}
		}
	}
	return nil
}

// ConfirmOrder lets an order be carried out. by is the second person: an administrator of the
// organisation, or the operator by name; callers see to that. It fails with ErrNotFound,
// ErrSamePerson, ErrNobody, or ErrState when it does not wait any more.
func (d *Desk) ConfirmOrder(ctx context.Context, organisationID, id, by string) (Order, error) {
	return d.decide(ctx, organisationID, id, by, OrderConfirmed)
}

// DeclineOrder ends an order because the second person does not agree. Errors are those of
// ConfirmOrder.
func (d *Desk) DeclineOrder(ctx context.Context, organisationID, id, by string) (Order, error) {
	return d.decide(ctx, organisationID, id, by, OrderDeclined)
}

// WithdrawOrder ends an order because whoever asked does not want it any more. Errors are
// those of ConfirmOrder; for everybody else it is ErrSamePerson.
func (d *Desk) WithdrawOrder(ctx context.Context, organisationID, id, by string) (Order, error) {
	return d.decide(ctx, organisationID, id, by, OrderWithdrawn)
}

func (d *Desk) decide(ctx context.Context, organisationID, id, by string, next OrderState) (out Order, err error) {
	if !named(by) {
		return Order{}, ErrNobody
	}
	at := sqldb.UTC(d.now())
	err = d.db.InTx(ctx, func(tx *sqldb.Tx) error {
		o, err := d.order(ctx, tx, organisationID, id)
		if err != nil {
			return err
		}
		if !o.State.May(next) {
			return refused{"this order is " + string(o.State) + ", it does not wait any more"}
		}
		if (o.AskedBy == by) != (next == OrderWithdrawn) {
			return ErrSamePerson
		}
		n, err := tx.Exec(ctx, `update withdrawal_requests set state = ?, decided_by = ?, decided_at = ? where organisation_id = ? and id = ? and state = ? and expires_at > ?`,
			next, by, at, organisationID, id, OrderAsked, at)
		if err != nil {
			return fmt.Errorf("decide about an order: %w", err)
		}
		if n == 0 {
			return ErrState // by somebody else at the same moment
		}
		if out, err = d.order(ctx, tx, organisationID, id); err != nil {
			return err
		}
		return sqldb.Audit(ctx, tx, sqldb.Event{
			OrganisationID: organisationID, At: at, Actor: by, Action: "revocation " + string(next), Subject: id,
			Detail: fmt.Sprintf("%d credentials, %s, asked by %s", o.Total, o.Reason, o.AskedBy),
		})
	})
	return out, err
}

type orderRow struct {
	ID             string       `db:"id"`
	OrganisationID string       `db:"organisation_id"`
	Selection      string       `db:"selection"`
	Reason         Reason       `db:"reason"`
	Words          string       `db:"words"`
	State          OrderState   `db:"state"`
	Second         bool         `db:"second"`
	Total          int          `db:"total"`
	AskedBy        string       `db:"asked_by"`
	AskedAt        time.Time    `db:"asked_at"`
	ExpiresAt      time.Time    `db:"expires_at"`
	DecidedBy      string       `db:"decided_by"`
	DecidedAt      sql.NullTime `db:"decided_at"`
	DoneAt         sql.NullTime `db:"done_at"`
}

const orderFrom = `select r.id, r.organisation_id, r.selection, r.reason, r.words, r.state, r.second, r.total, r.asked_by, r.asked_at, r.expires_at, r.decided_by, r.decided_at, r.done_at
	from withdrawal_requests r where `

func (r orderRow) order(now time.Time) (Order, error) {
	o := Order{
		ID: r.ID, OrganisationID: r.OrganisationID, Reason: r.Reason, Words: r.Words, State: r.State, Second: r.Second, Total: r.Total,
		AskedBy: r.AskedBy, AskedAt: r.AskedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), DecidedBy: r.DecidedBy, DecidedAt: r.DecidedAt.Time.UTC(), DoneAt: r.DoneAt.Time.UTC(),
	}
	if o.State == OrderAsked && !o.ExpiresAt.After(now) {
		o.State = OrderExpired
	}
	if err := json.Unmarshal([]byte(r.Selection), &o.Selection); err != nil {
		return Order{}, fmt.Errorf("decode the selection of order %s: %w", r.ID, err)
	}
	o.Selection.OrganisationID = r.OrganisationID
	return o, nil
}

// orders reads orders with what has become of their credentials.
func (d *Desk) orders(ctx context.Context, q sqldb.Queryer, condition string, args ...any) ([]Order, error) {
	var rows []orderRow
	if err := q.Select(ctx, &rows, orderFrom+condition, args...); err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	now := sqldb.UTC(d.now())
	all := make([]Order, len(rows))
	for i, row := range rows {
		var err error
		if all[i], err = row.order(now); err != nil {
			return nil, err
		}
		var outcomes []struct {
			Outcome ItemOutcome `db:"outcome"`
			N       int         `db:"n"`
		}
		err = q.Select(ctx, &outcomes, `select outcome, count(*) as n from withdrawal_items where organisation_id = ? and request_id = ? group by outcome`, row.OrganisationID, row.ID)
		if err != nil {
			return nil, fmt.Errorf("count what has become of an order: %w", err)
		}
		for _, c := range outcomes {
			switch c.Outcome {
			case ItemRevoked:
				all[i].Revoked = c.N
			case ItemAlready:
				all[i].Already = c.N
			case ItemFailed:
				all[i].Failed = c.N
			case itemLeft:
			}
		}
	}
	return all, nil
}

func (d *Desk) order(ctx context.Context, q sqldb.Queryer, organisationID, id string) (Order, error) {
	all, err := d.orders(ctx, q, `r.organisation_id = ? and r.id = ?`, organisationID, id)
	if err != nil {
		return Order{}, err
	}
	if len(all) == 0 {
		return Order{}, ErrNotFound
	}
	return all[0], nil
}

// Order returns one order of the organisation, or ErrNotFound.
func (d *Desk) Order(ctx context.Context, organisationID, id string) (Order, error) {
	return d.order(ctx, d.db, organisationID, id)
}

// Orders lists the orders of an organisation, those that were asked for last first, at most
// limit; only those that wait for a second person when waiting is set.
func (d *Desk) Orders(ctx context.Context, organisationID string, waiting bool, limit int) ([]Order, error) {
	if waiting {
		return d.orders(ctx, d.db, `r.organisation_id = ? and r.state = 'asked' and r.expires_at > ? order by r.asked_at desc, r.id desc limit ?`, organisationID, sqldb.UTC(d.now()), limit)
	}
	return d.orders(ctx, d.db, `r.organisation_id = ? order by r.asked_at desc, r.id desc limit ?`, organisationID, limit)
}

// OrdersOf lists the orders about one credential, those that were asked for last first.
func (d *Desk) OrdersOf(ctx context.Context, organisationID, credentialID string) ([]Order, error) {
	return d.ordersOf(ctx, d.db, organisationID, credentialID)
}

func (d *Desk) ordersOf(ctx context.Context, q sqldb.Queryer, organisationID, credentialID string) ([]Order, error) {
	return d.orders(ctx, q, `r.organisation_id = ? and r.id in (select i.request_id from withdrawal_items i where i.credential_id = ?) order by r.asked_at desc, r.id desc`, organisationID, credentialID)
}

// OrdersWaiting counts the orders of an organisation that wait for a second person.
func (d *Desk) OrdersWaiting(ctx context.Context, organisationID string) (int, error) {
	var n int
	// The state stands in the text, as it does in the index.
	err := d.db.Get(ctx, &n, `select count(*) from withdrawal_requests where organisation_id = ? and state = 'asked' and expires_at > ?`, organisationID, sqldb.UTC(d.now()))
	if err != nil {
		return 0, fmt.Errorf("count orders: %w", err)
	}
	return n, nil
}
