package redisqueue

import "time"

// Group is the group of the workers.
const Group = group

// Stream is the key that holds the jobs.
const Stream = stream

// TakeOverAfter sets after how long jobs of another worker are taken over, so that no
// test has to wait for a minute.
func (q *Queue) TakeOverAfter(d time.Duration) { q.takeOverAfter = d }

// AnswerWithin sets how long Redis may take to answer.
func (q *Queue) AnswerWithin(d time.Duration) { q.answerWithin = d }
