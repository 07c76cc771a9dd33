// Holds our receipts and our log against the transparency-log code of the Go project.
//
//	peer receipt VKEY PROOF LEAF        is LEAF in the log, as the tlog-proof says?
//	peer tiles VKEY DIR [PROOF ...]     is DIR a whole log, and an extension of each PROOF's tree?
//
// Exit code 0 if so; 1 if not, with the reason. Everything is read from the specifications of
// C2SP, strictly; signatures, hashes and proofs are checked by golang.org/x/mod. To build it:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= go build -o peer verify_receipt.go read_tiles.go
//
// with Debian's golang-go and golang-golang-x-mod-dev.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	report, err := run(os.Args[1:])
	if err != nil {
		fmt.Println("rejected:", err)
		os.Exit(1)
	}
	fmt.Println(report)
}

func run(args []string) (string, error) {
	if len(args) < 3 {
		return "", errors.New("usage: peer receipt VKEY PROOF LEAF | peer tiles VKEY DIR [PROOF ...]")
	}
	key, err := note.NewVerifier(args[1])
	if err != nil {
		return "", err
	}
	switch {
	case args[0] == "receipt" && len(args) == 4:
		return verifyReceipt(key, args[2], args[3])
	case args[0] == "tiles":
		return readTiles(key, args[2], args[3:])
	}
	return "", fmt.Errorf("no such mode: %q", args)
}

func verifyReceipt(key note.Verifier, proofPath, leafPath string) (string, error) {
	proof, err := readProof(key, proofPath)
	if err != nil {
		return "", err
	}
	leaf, err := os.ReadFile(leafPath)
	if err != nil {
		return "", err
	}
	tree := proof.tree
	err = tlog.CheckRecord(proof.hashes, tree.N, tree.Hash, proof.index, tlog.RecordHash(leaf))
	if err != nil {
		return "", fmt.Errorf("inclusion: %w", err)
	}
	return fmt.Sprintf("accepted index %d of %d", proof.index, tree.N), nil
}

// proof is a c2sp.org/tlog-proof@v1 file whose checkpoint is signed by the log.
type proof struct {
	index  int64
	hashes tlog.RecordProof
	tree   tlog.Tree
}

// readProof refuses the format's optional extra line: nothing signs it.
func readProof(key note.Verifier, path string) (*proof, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	head, checkpoint, found := strings.Cut(string(file), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return nil, errors.New("proof: not a c2sp.org/tlog-proof@v1")
	}
	p := new(proof)
	if p.index, err = parseDecimal(strings.TrimPrefix(lines[1], "index ")); err != nil {
		return nil, fmt.Errorf("proof: index: %w", err)
	}
	if !strings.HasPrefix(lines[1], "index ") {
		return nil, errors.New("proof: no index line")
	}
	for _, line := range lines[2:] {
		hash, err := parseHash(line)
		if err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
		p.hashes = append(p.hashes, hash)
	}
	p.tree, err = openCheckpoint(key, []byte(checkpoint))
	return p, err
}

// openCheckpoint refuses extension lines: our log writes none, and public witnesses want none.
func openCheckpoint(key note.Verifier, file []byte) (tlog.Tree, error) {
	var tree tlog.Tree
	signed, err := note.Open(file, note.VerifierList(key))
	if err != nil {
		return tree, fmt.Errorf("signature: %w", err)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tree, fmt.Errorf("checkpoint: %d lines instead of 3", len(lines)-1)
	}
	if lines[0] != key.Name() {
		return tree, fmt.Errorf("checkpoint: origin %q, key %q", lines[0], key.Name())
	}
	if tree.N, err = parseDecimal(lines[1]); err != nil {
		return tree, fmt.Errorf("checkpoint: size: %w", err)
	}
	if tree.Hash, err = parseHash(lines[2]); err != nil {
		return tree, fmt.Errorf("checkpoint: root: %w", err)
	}
	return tree, nil
}

// parseDecimal accepts the one spelling of a number: no sign, no leading zero.
func parseDecimal(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("%q is not a plain number", text)
	}
	return n, nil
}

// parseHash accepts the one spelling of a hash: 44 characters of base64 without stray bits.
func parseHash(text string) (tlog.Hash, error) {
	hash, err := tlog.ParseHash(text)
	if err != nil || hash.String() != text {
		return hash, fmt.Errorf("%q is not a hash in base64", text)
	}
	return hash, nil
}
