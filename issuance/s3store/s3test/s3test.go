// Package s3test gives tests a bucket of their own on a real S3-compatible server.
//
// SEALSMITH_TEST_S3 holds the server's address with its keys, http://KEY:SECRET@HOST; `make test`
// starts one. With CI=true a missing server fails the test instead of leaving it out.
package s3test

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sealsmith/sealsmith/issuance/s3store"
)

// Bucket is an empty bucket, which is gone when the test ends.
type Bucket struct {
	Name string
	Host string // of the server, with its port
	Keys s3store.Keys

	Client *minio.Client // for what a test does behind the back of the store
}

// New makes a bucket.
func New(tb testing.TB) Bucket {
	tb.Helper()
	server := os.Getenv("SEALSMITH_TEST_S3")
	if server == "" {
		if os.Getenv("CI") == "true" {
			tb.Fatal("SEALSMITH_TEST_S3 is not set; run the tests by `make test`, which starts an object store")
		}
		tb.Skip("SKIPPED: SEALSMITH_TEST_S3 is not set; `make test` starts an object store and sets it")
	}
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal("SEALSMITH_TEST_S3 is not an address")
	}
	secret, _ := u.User.Password()
	b := Bucket{Name: "t" + strings.ToLower(rand.Text()), Host: u.Host, Keys: s3store.Keys{AccessKey: u.User.Username(), SecretKey: secret}}
	b.Client, err = minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(b.Keys.AccessKey, b.Keys.SecretKey, "")})
	if err != nil {
		tb.Fatal(err)
	}
	if err := b.Client.MakeBucket(tb.Context(), b.Name, minio.MakeBucketOptions{}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(tb.Context()), 30*time.Second)
		defer stop()
		for o := range b.Client.ListObjectsIter(ctx, b.Name, minio.ListObjectsOptions{Recursive: true}) {
			if err := b.Client.RemoveObject(ctx, b.Name, o.Key, minio.RemoveObjectOptions{}); err != nil {
				tb.Error(err)
			}
		}
		if err := b.Client.RemoveBucket(ctx, b.Name); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// Address is that of the bucket, through host.
func (b Bucket) Address(host string) s3store.Address {
	return s3store.Address{Bucket: b.Name, Prefix: "files", Endpoint: host, Region: "us-east-1"}
}

// Store opens the bucket, through host: that of the server, or of something in between.
func (b Bucket) Store(tb testing.TB, host string) *s3store.Store {
	tb.Helper()
	s, err := s3store.Open(b.Address(host), b.Keys)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
