package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/lti"
	"github.com/sealsmith/sealsmith/lti/ltistore"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

type keysCommand struct {
	List   keysListCommand   `cmd:"" help:"List the tool's LTI signing keys and what each does now."`
	Rotate keysRotateCommand `cmd:"" help:"Make a new LTI signing key. It is published at once and signs from tomorrow, when every platform has seen it."`
	Rewrap keysRewrapCommand `cmd:"" help:"Seal all private keys in the database with the first line of the key file. Then the other lines can go."`
	Forget keysForgetCommand `cmd:"" help:"Only when the key file is lost for good: delete what is sealed with it, and begin anew."`
}

type keysListCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the keys. It needs no key file.
func (c keysListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		keys, err := ltistore.New(db, time.Now).AllToolKeys(ctx)
		if err != nil {
			return err
		}
		all := lti.DescribeKeys(keys, time.Now())
		if c.JSON {
			encoder := json.NewEncoder(out.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(all)
		}
		if len(all) == 0 {
			out.printf("There is no key yet: the server makes the first one when it starts to work.\n")
			return nil
		}
		t := newTable(out.out, "KID", "STATE", "MADE")
		for _, k := range all {
			t.row(k.KID, k.Words, k.CreatedAt.Format("2006-01-02 15:04 UTC"))
		}
		return t.Flush()
	})
}

type keysRotateCommand struct {
	Now bool `help:"For a key that somebody else may have: the new one signs at once, and all others are withdrawn. For some minutes platforms may refuse what we sign."`
}

// Run rotates, or replaces.
func (c keysRotateCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withKeys(ctx, func(store *ltistore.Store) error {
		r := lti.KeyRotation{Store: store, Now: time.Now(), Rand: rand.Reader, Actor: "operator"}
		change := r.Rotate
		if c.Now {
			change = r.Replace
		}
		key, err := change(ctx)
		if rotating, ok := errors.AsType[*lti.RotatingError](err); ok {
			return fmt.Errorf("%w: sealsmith keys rotate --now", rotating)
		}
		if err != nil {
			return err
		}
		if key.UseFrom.After(r.Now) {
			out.printf("Key %s is published now and signs from %s.\nThe present key signs until then and stays published for a day more. Nothing has to be done.\n",
				key.KID, key.UseFrom.UTC().Format("2006-01-02 15:04 UTC"))
			return nil
		}
		out.printf("Key %s signs now; servers that run know it within a minute. No other key is published any more.\n", key.KID)
		return nil
	})
}

type keysRewrapCommand struct{}

// Run seals with the first line of the key file.
func (keysRewrapCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		box, err := s.openBox(true)
		if err != nil {
			return err
		}
		n, err := ltistore.New(db, time.Now, ltistore.WithBox(box)).Rewrap(ctx)
		if err != nil {
			return err
		}
		out.printf("Sealed %d values with the first line of %s. When all servers have this file, its other lines can go.\n", n, s.keyFile())
		return nil
	})
}

type keysForgetCommand struct {
	Sure bool `help:"Do it. Without this, only what would go is told."`
}

// Run forgets what is sealed.
func (c keysForgetCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		store := ltistore.New(db, time.Now)
		if !c.Sure {
			n, err := store.Sealed(ctx)
			if err != nil {
				return err
			}
			out.printf("%d sealed values would be deleted. The server then makes a new LTI key, which platforms fetch by themselves; LTI 1.1 secrets have to be entered again. To do it: sealsmith keys forget --sure\n", n)
			return nil
		}
		n, err := store.ForgetSealed(ctx)
		if err != nil {
			return err
		}
		out.printf("Deleted %d sealed values. Restart the servers now, all with one and the same key file.\n", n)
		return nil
	})
}

// withKeys opens the database and the key file for a command.
func (s *Settings) withKeys(ctx context.Context, do func(*ltistore.Store) error) error {
	return s.withDatabase(ctx, func(db *sqldb.DB) error {
		store, err := s.openKeys(ctx, db)
		if err != nil {
			return err
		}
		return do(store)
	})
}

// rotateOld replaces the LTI signing key when it has signed for long enough.
func (a *app) rotateOld(ctx context.Context) {
	r := lti.KeyRotation{Store: a.lti, Now: time.Now(), Rand: rand.Reader, Actor: "server"}
	rotated, err := r.RotateOld(ctx, time.Duration(a.settings.KeyDays)*24*time.Hour)
	switch {
	case err != nil && ctx.Err() == nil:
		a.logger.WarnContext(ctx, "old tool key not rotated", "err", err)
	case rotated:
		a.logger.InfoContext(ctx, "tool key rotated by age", "max_age_days", a.settings.KeyDays)
	}
}
