// Package redisqueue carries the ids of claims to workers through a Redis stream with a
// consumer group.
//
// The queue is a hint: it holds ids and nothing secret, may lose them (the sweeper offers
// them again) and may hand one out twice (the lease in the database lets one worker
// through). So it is built to recover rather than to be right: a stream or group that has
// vanished is made again, and jobs of a worker that died are taken over after a minute.
//
// All keys carry one hash tag, {sealsmith}, so that Redis Cluster keeps them together.
// Redis 7.0 and later will do: XAUTOCLAIM is used, nothing newer.
//
// The package deliberately knows neither claims nor their states. It fails with the
// client's errors wrapped; callers log them and go on later.
package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/issuance"
)

const (
	stream = "{sealsmith}:claims"
	group  = "sealers"
	field  = "claim"
)

// takeOverAfter is how long a job may be with a worker before another takes it over. It
// is longer than a signature; taking over too early costs a failed lease, nothing more.
const takeOverAfter = time.Minute

// Queue is a stream of claim ids. It is safe for concurrent use.
type Queue struct {
	client        redis.UniversalClient
	consumer      string
	takeOverAfter time.Duration
}

// New returns a queue on client. consumer names this process within the group; it must
// differ between processes.
func New(client redis.UniversalClient, consumer string) *Queue {
	return &Queue{client: client, consumer: consumer, takeOverAfter: takeOverAfter}
}

// Push implements issuance.Queue: all ids in one round trip.
func (q *Queue) Push(ctx context.Context, ids ...string) error {
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
	old, _, err := q.client.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: stream, Group: group, Consumer: q.consumer, MinIdle: q.takeOverAfter, Start: "0", Count: int64(limit),
	}).Result()
	if isNoGroup(err) {
		if err := q.makeGroup(ctx); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, fmt.Errorf("take over jobs: %w", err)
	}
	if len(old) > 0 {
		return q.jobs(ctx, old)
	}
	if wait < time.Millisecond {
		wait = -1 // BLOCK 0 would wait for ever
	}
	read, err := q.client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: q.consumer, Streams: []string{stream, ">"}, Count: int64(limit), Block: wait,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil // nothing came
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
	if len(garbage) > 0 {
		return jobs, q.Done(ctx, garbage...)
	}
	return jobs, nil
}

// Done implements issuance.Jobs: acknowledged and deleted, so that the length of the
// stream is the number of jobs.
func (q *Queue) Done(ctx context.Context, jobs ...issuance.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	receipts := make([]string, len(jobs))
	for i, job := range jobs {
		receipts[i] = job.Receipt
	}
	_, err := q.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.XAck(ctx, stream, group, receipts...)
		p.XDel(ctx, stream, receipts...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("end %d jobs: %w", len(jobs), err)
	}
	return nil
}

// Len implements issuance.Jobs.
func (q *Queue) Len(ctx context.Context) (int64, error) {
	n, err := q.client.XLen(ctx, stream).Result()
	if err != nil {
		return 0, fmt.Errorf("ask for the length of the queue: %w", err)
	}
	return n, nil
}

// Ping reports whether Redis answers, for readiness.
func (q *Queue) Ping(ctx context.Context) error { return q.client.Ping(ctx).Err() }

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
