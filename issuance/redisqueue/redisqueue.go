// Package redisqueue carries the ids of claims to workers through a Redis stream with a
// consumer group.
//
// The queue is a hint: it holds ids and nothing secret, may lose them (the sweeper offers
// them again) and may hand one out twice (the lease in the database lets one worker
// through). So it is built to recover rather than to be right: a stream or group that has
// vanished is made again, jobs of a worker that died are taken over after twenty seconds, and
// jobs that nobody holds although they were handed out are handed out again. What is no id
// of ours is thrown out.
//
// All keys carry one hash tag, {sealsmith}, so that Redis Cluster keeps them together.
// Redis 7.0 and later will do: XAUTOCLAIM is used, nothing newer. A Redis serves one
// installation; two that share one need different database numbers.
//
// The package deliberately knows neither claims nor their states. It fails with the
// client's errors wrapped, or within AnswerWithin when Redis is slow: a Redis that is away,
// full (OOM), cannot write its file (MISCONF), is a replica (READONLY) or holds something
// else under our key (WRONGTYPE). Callers log them and go on without.
package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/issuance"
)

const (
	stream = "{sealsmith}:claims"
	group  = "sealers"
	field  = "claim"
)

// takeOverAfter is how long a job may be with a worker before another takes it over. It is as
// long as a lease of a dead worker; taking over too early costs a failed lease, nothing more,
// and the relay offers the claim again when the lease has ended.
const takeOverAfter = 20 * time.Second

// AnswerWithin is how long Redis may take to answer; a learner who claims waits for it.
const AnswerWithin = 2 * time.Second

// Queue is a stream of claim ids. It is safe for concurrent use.
type Queue struct {
	client        redis.UniversalClient
	consumer      string
	takeOverAfter time.Duration
	answerWithin  time.Duration
	takeOverFrom  atomic.Value // string: where the next look for jobs of dead workers begins
}

// New returns a queue on client, whose option ContextTimeoutEnabled must be set. consumer
// names this process within the group; it must differ between processes.
func New(client redis.UniversalClient, consumer string) *Queue {
	return &Queue{client: client, consumer: consumer, takeOverAfter: takeOverAfter, answerWithin: AnswerWithin}
}

// offerBelow is the length of the stream up to which Offer adds to it. Every learner waits
// behind what is in the stream, also those whose turn it would be.
const offerBelow = 16

// Offer implements issuance.Queue.
func (q *Queue) Offer(ctx context.Context, ids ...string) error {
	n, err := q.Len(ctx)
	if err != nil || n+int64(len(ids)) > offerBelow {
		return err
	}
	return q.Push(ctx, ids...)
}

// Push implements issuance.Jobs: all ids in one round trip.
func (q *Queue) Push(ctx context.Context, ids ...string) error {
	ctx, stop := context.WithTimeout(ctx, q.answerWithin)
	defer stop()
	_, err := q.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []any{field, id}})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("push %d claims: %w", len(ids), err)
	}
	return nil
}

// Next implements issuance.Jobs: first what dead workers left, then what is new.
func (q *Queue) Next(ctx context.Context, limit int, wait time.Duration) ([]issuance.Job, error) {
	old, err := q.left(ctx, limit)
	if err != nil || len(old) > 0 {
		return old, err
	}
	if wait < time.Millisecond {
		wait = -1 // BLOCK 0 would wait for ever
	}
	within, stop := context.WithTimeout(ctx, max(wait, 0)+q.answerWithin)
	defer stop()
	read, err := q.client.XReadGroup(within, &redis.XReadGroupArgs{
		Group: group, Consumer: q.consumer, Streams: []string{stream, ">"}, Count: int64(limit), Block: wait,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, q.rescue(ctx)
	}
	if isNoGroup(err) { // emptied while we waited; the next call makes the group again
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	var messages []redis.XMessage
	for _, s := range read {
		messages = append(messages, s.Messages...)
	}
	return q.jobs(ctx, messages)
}

// left takes over what dead workers left. Redis looks at ten times limit jobs that are
// held and says where it stopped; the next call goes on from there.
func (q *Queue) left(ctx context.Context, limit int) ([]issuance.Job, error) {
	ctx, stop := context.WithTimeout(ctx, q.answerWithin)
	defer stop()
	from, ok := q.takeOverFrom.Load().(string)
	if !ok {
		from = "0-0"
	}
	old, from, err := q.client.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: stream, Group: group, Consumer: q.consumer, MinIdle: q.takeOverAfter, Start: from, Count: int64(limit),
	}).Result()
	if isNoGroup(err) {
		return nil, q.makeGroup(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("take over jobs: %w", err)
	}
	q.takeOverFrom.Store(from)
	return q.jobs(ctx, old)
}

// rescue finds jobs that were handed out and that nobody holds: acknowledged and not
// deleted, or of a consumer that was deleted by hand. They would never come again, and the
// sweeper would wait for them. All of the stream is handed out again; doubles die at the
// lease.
func (q *Queue) rescue(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, q.answerWithin)
	defer stop()
	var held *redis.XPendingCmd
	var length *redis.IntCmd
	_, err := q.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		held, length = p.XPending(ctx, stream, group), p.XLen(ctx, stream)
		return nil
	})
	if isNoGroup(err) {
		return nil // emptied in this moment
	}
	if err == nil && held.Val().Count == 0 && length.Val() > 0 {
		err = q.client.XGroupSetID(ctx, stream, group, "0").Err()
	}
	if err != nil && !isNoGroup(err) {
		return fmt.Errorf("look for jobs that nobody holds: %w", err)
	}
	return nil
}

// jobs turns messages into jobs and throws out what is not ours: garbage in the stream
// must not come again for ever.
func (q *Queue) jobs(ctx context.Context, messages []redis.XMessage) ([]issuance.Job, error) {
	jobs := make([]issuance.Job, 0, len(messages))
	var garbage []issuance.Job
	for _, m := range messages {
		id, ok := m.Values[field].(string)
		job := issuance.Job{ID: id, Receipt: m.ID}
		if !ok || id == "" || len(id) > 64 {
			garbage = append(garbage, job)
			continue
		}
		jobs = append(jobs, job)
	}
	if err := q.Done(ctx, garbage...); err != nil && len(jobs) == 0 {
		return nil, err
	}
	return jobs, nil
}

// Done implements issuance.Jobs: deleted and acknowledged, so that the length of the
// stream is the number of jobs. In this order: what is deleted only, XAUTOCLAIM forgets;
// what is acknowledged only would stay.
func (q *Queue) Done(ctx context.Context, jobs ...issuance.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	receipts := make([]string, len(jobs))
	for i, job := range jobs {
		receipts[i] = job.Receipt
	}
	ctx, stop := context.WithTimeout(ctx, q.answerWithin)
	defer stop()
	_, err := q.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.XDel(ctx, stream, receipts...)
		p.XAck(ctx, stream, group, receipts...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("end %d jobs: %w", len(jobs), err)
	}
	return nil
}

// IDs implements issuance.Jobs.
func (q *Queue) IDs(ctx context.Context, limit int) ([]string, error) {
	ctx, stop := context.WithTimeout(ctx, q.answerWithin)
	defer stop()
	messages, err := q.client.XRangeN(ctx, stream, "-", "+", int64(limit)).Result()
	if err != nil {
		return nil, fmt.Errorf("ask what is in the queue: %w", err)
	}
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i], _ = m.Values[field].(string) // garbage is no id, and counts
	}
	return ids, nil
}

// Len implements issuance.Jobs.
func (q *Queue) Len(ctx context.Context) (int64, error) {
	ctx, stop := context.WithTimeout(ctx, q.answerWithin)
	defer stop()
	n, err := q.client.XLen(ctx, stream).Result()
	if err != nil {
		return 0, fmt.Errorf("ask for the length of the queue: %w", err)
	}
	return n, nil
}

// Ping reports whether the queue can be used, for readiness: it makes the group, which
// changes nothing where there is one and fails wherever a Redis answers but refuses jobs.
func (q *Queue) Ping(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, q.answerWithin)
	defer stop()
	return q.makeGroup(ctx)
}

// makeGroup makes stream and group from the very first job on.
func (q *Queue) makeGroup(ctx context.Context) error {
	err := q.client.XGroupCreateMkStream(ctx, stream, group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return fmt.Errorf("make consumer group: %w", err)
	}
	return nil
}

// isNoGroup reports that the stream or its group is not there: Redis before 7.2 says
// UNBLOCKED to a client that was waiting while the stream vanished.
func isNoGroup(err error) bool {
	return err != nil && (strings.HasPrefix(err.Error(), "NOGROUP") || strings.HasPrefix(err.Error(), "UNBLOCKED"))
}
