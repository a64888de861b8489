package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sealsmith/sealsmith/issuance"
)

// Keys are what requests are signed with.
type Keys struct {
	AccessKey    string
	SecretKey    string
	SessionToken string // empty: the keys are not short-lived
}

// ReadKeys reads the profile "default" of a file as AWS's tools write it. It fails with ErrKeys.
func ReadKeys(file string) (Keys, error) {
	value, err := credentials.NewFileAWSCredentials(file, "default").Get()
	if err != nil {
		return Keys{}, fmt.Errorf("%w: read the keys from %s: %w", ErrKeys, file, err)
	}
	return Keys{AccessKey: value.AccessKeyID, SecretKey: value.SecretAccessKey, SessionToken: value.SessionToken}, nil
}

// ErrKeys says that there are no keys to sign with.
var ErrKeys = errors.New("the object store needs keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a file in the form of AWS's tools")

// Store is one prefix of one bucket. It is safe for concurrent use.
type Store struct {
	client *minio.Client
	at     Address
}

// tries is how often a request is made before it counts as failed.
const tries = 3

// Open makes a store. It connects when it is first used. It fails with ErrKeys.
func Open(at Address, keys Keys) (*Store, error) {
	if keys.AccessKey == "" || keys.SecretKey == "" {
		return nil, ErrKeys
	}
	client, err := minio.New(at.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(keys.AccessKey, keys.SecretKey, keys.SessionToken), Secure: at.Secure, Region: at.Region,
		Transport: transport(), MaxRetries: tries, BucketLookup: minio.BucketLookupAuto,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the object store: %w", err)
	}
	return &Store{client: client, at: at}, nil
}

// transport gives up soon on a store that is not there: somebody waits for a page.
func transport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 10 * time.Second,
		MaxIdleConns: 32, MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute,
		DisableCompression: true, // the bytes as they are
	}
}

// patience is how long one object may take, with all tries.
const patience = 30 * time.Second

func (s *Store) name(object string) string {
	if s.at.Prefix == "" {
		return object
	}
	return s.at.Prefix + "/" + object
}

// Put implements issuance.Objects.
func (s *Store) Put(ctx context.Context, object string, body []byte) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	_, err := s.client.PutObject(ctx, s.at.Bucket, s.name(object), bytes.NewReader(body), int64(len(body)), minio.PutObjectOptions{
		ContentType: "application/octet-stream", SendContentMd5: true, DisableMultipart: true,
	})
	return away(err)
}

// Get implements issuance.Objects.
func (s *Store) Get(ctx context.Context, object string, limit int64) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	reader, err := s.client.GetObject(ctx, s.at.Bucket, s.name(object), minio.GetObjectOptions{})
	if err != nil {
		return nil, away(err)
	}
	body, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err := errors.Join(err, reader.Close()); err != nil {
		if refusal(err).Code == minio.NoSuchKey {
			return nil, issuance.ErrNoObject
		}
		return nil, away(err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: the object %s has more bytes than were stored", issuance.ErrFileDamaged, object)
	}
	return body, nil
}

// Delete implements issuance.Objects.
func (s *Store) Delete(ctx context.Context, object string) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	err := s.client.RemoveObject(ctx, s.at.Bucket, s.name(object), minio.RemoveObjectOptions{})
	if refusal(err).Code == minio.NoSuchKey {
		return nil
	}
	return away(err)
}

// List implements issuance.Objects.
func (s *Store) List(ctx context.Context, after string, limit int) ([]issuance.Object, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	options := minio.ListObjectsOptions{Recursive: true, MaxKeys: limit}
	if s.at.Prefix != "" {
		options.Prefix = s.at.Prefix + "/"
	}
	if after != "" {
		options.StartAfter = s.name(after)
	}
	all := []issuance.Object{}
	for o := range s.client.ListObjectsIter(ctx, s.at.Bucket, options) {
		if o.Err != nil {
			return nil, away(o.Err)
		}
		all = append(all, issuance.Object{Name: strings.TrimPrefix(o.Key, options.Prefix), Bytes: o.Size})
		if len(all) == limit {
			break
		}
	}
	return all, nil
}

// Ping implements issuance.Objects.
func (s *Store) Ping(ctx context.Context) error {
	there, err := s.client.BucketExists(ctx, s.at.Bucket)
	if err == nil && !there {
		err = minio.ErrorResponse{Code: minio.NoSuchBucket}
	}
	return away(err)
}

// away makes an error of the store one that a later try may heal, in words that say what to do.
func away(err error) error {
	if err == nil {
		return nil
	}
	// Not what the store wrote: that may quote the request, with the name of the key in it.
	if refused := refusal(err); refused.Code != "" {
		return fmt.Errorf("%w: %s", issuance.ErrFileAway, words(refused))
	}
	return fmt.Errorf("%w: %w", issuance.ErrFileAway, err)
}

// refusal is what the store has answered; its Code is empty when there was no answer.
func refusal(err error) minio.ErrorResponse {
	refused, _ := errors.AsType[minio.ErrorResponse](err)
	return refused
}

// words says what an answer of the protocol means (Amazon S3 API Reference, Error Responses).
func words(refused minio.ErrorResponse) string {
	switch refused.Code {
	case minio.NoSuchBucket:
		return "the bucket is not there; make it, or correct SEALSMITH_ARTEFACTS"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidToken", "ExpiredToken", "403 Forbidden", "XAdminUserNotFound": // the last one is versitygw's
		return "it refuses our keys (" + refused.Code + "); check them, and what they may do: get, put, delete and list in this bucket"
	case "RequestTimeTooSkewed":
		return "the clocks of this machine and of the store differ by more than the store allows; set them by NTP"
	case "SlowDown", "ServiceUnavailable", "503 Service Unavailable", "InternalError":
		return "it is overloaded or out of order (" + refused.Code + ")"
	}
	return "it answered " + refused.Code
}
