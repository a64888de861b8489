package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/kit"
	"github.com/sealsmith/sealsmith/issuance/status"
)

// offlineStatus is what verify knows besides the file: a kit, a list, or a newer list with the
// index of a kit.
type offlineStatus struct {
	Kit         string `help:"Folder of an issuer-gone kit: its signed status lists say whether the credential was withdrawn." type:"path" placeholder:"DIR"`
	StatusList  string `help:"File of a signed status list (W3C bitstring or IETF token list), newer than those of the kit. Its index comes from --kit or --status-index." type:"path" placeholder:"FILE"`
	StatusIndex int    `help:"Index of the credential in --status-list." default:"-1" placeholder:"N"`
}

var errListAlone = errors.New("--status-list needs the place of the credential: name the kit with --kit, or the index with --status-index")

// add puts into a report what lists say. What cannot be said leaves the report as it is, with a
// sentence for whoever asked.
func (o offlineStatus) add(r issuance.Report, trust *x509.CertPool) (issuance.Report, string, error) {
	if o.Kit == "" && o.StatusList == "" {
		return r, "", nil
	}
	if o.StatusList != "" && o.Kit == "" && o.StatusIndex < 0 {
		return r, "", errListAlone
	}
	if r.Content == nil {
		return r, "", nil
	}
	listed, err := o.look(r.Content.ID, trust)
	if errors.Is(err, kit.ErrNoKit) || errors.Is(err, os.ErrNotExist) {
		return r, "", err
	}
	if err != nil {
		code := status.Code(err)
		if code == "" {
			return r, "Whether it was withdrawn, the kit cannot say: " + err.Error() + ".", nil
		}
		return r, fmt.Sprintf("Whether it was withdrawn, the list cannot say: %v (%s).", err, code), nil
	}
	return r.WithListed(listed), "", nil
}

func (o offlineStatus) look(id string, trust *x509.CertPool) (issuance.ListedStatus, error) {
	if o.StatusList == "" {
		k, err := kit.Open(o.Kit)
		if err != nil {
			return issuance.ListedStatus{}, err
		}
		return k.Find(id, trust)
	}
	text, err := readStatusList(o.StatusList)
	if err != nil {
		return issuance.ListedStatus{}, err
	}
	options := status.Options{Trust: trust}
	if o.Kit == "" {
		return kit.Look(text, o.StatusIndex, options, nil)
	}
	k, err := kit.Open(o.Kit)
	if err != nil {
		return issuance.ListedStatus{}, err
	}
	place, index, signer, err := k.Place(id, trust)
	if err != nil {
		return issuance.ListedStatus{}, err
	}
	options.URI = place.Address
	return kit.Look(text, index, options, signer)
}

func readStatusList(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the status list: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, status.MaxText+1))
	if err != nil {
		return nil, fmt.Errorf("read the status list: %w", err)
	}
	return text, nil
}
