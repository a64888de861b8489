// Package kit makes the issuer-gone kit: a folder of plain files that any web server can host, or
// an archive keep, so that credentials can be checked when the server that issued them is no more.
//
// A kit holds the signed status lists, an index that leads from a credential to its place in
// them, the certificates of all keys that have sealed with their chains, the revocation data that
// came with the seals, a page that checks a credential in the browser, and the SHA-256 of every
// file. It names nobody: places are found by hashes of credential ids, which only who has the
// credential knows. Lists, and the index, carry the organisation's signature, so a kit can be
// hosted by somebody who is not trusted; only the page itself, like every page, is as good as who
// serves it, and `sealsmith verify --kit` does without it.
//
// Builder.Build reads the database and asks no token: it takes what was signed already. The same
// database gives the same bytes. A folder is replaced as a whole, or stays as it was. Open and
// Kit.Find read a kit for whoever verifies, Check looks at all of it.
//
// The package deliberately does not know the time: a kit says of when it is, and whoever reads it
// judges. It fails with ErrNoKit for a folder that is something else, ErrChanged for a kit whose
// files do not fit, ErrUnknown for a credential that is not in it, and the errors of package status.
package kit
