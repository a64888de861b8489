// Package s3store keeps artefacts in an object store that speaks the protocol of Amazon S3:
// that of AWS, or MinIO, Ceph, Garage, versitygw and others on machines of one's own.
//
// Store is an issuance.Objects. It needs five of the protocol's operations (PutObject, GetObject,
// DeleteObject, ListObjectsV2, HeadBucket), signed with Signature Version 4, and none of what
// stores differ in: no versions, locks, multipart uploads or conditional writes. Bodies go with
// Content-MD5, so a store refuses what was spoilt on the way to it; what comes back is compared by
// package issuance, which knows the hash. Encryption at rest, copies on several disks and the
// lifetime of deleted objects are the bucket's own settings.
//
// The package deliberately does not know what it stores, and decides nothing: names and order
// of steps are issuance.Artefacts' business. Keys come from the environment of AWS's tools or from a
// file in their form, are read when the store is opened, and are never in an error or a log.
//
// Everything that a later try may heal wraps issuance.ErrFileAway and says in words what to
// do: no connection, a time-out, a store that asks for less (503 SlowDown), a bucket that is not there, a
// key that is refused, a clock that is wrong. ErrNoObject is the only other answer, and
// ErrFileDamaged for an object that is longer than asked for. Requests that fail on the way are tried three times.
package s3store
