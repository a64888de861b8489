package redisqueue

import "time"

// Stream is the key that holds the jobs.
const Stream = stream

// TakeOverAfter sets after how long jobs of another worker are taken over, so that no
// test has to wait for a minute.
func (q *Queue) TakeOverAfter(d time.Duration) { q.takeOverAfter = d }
