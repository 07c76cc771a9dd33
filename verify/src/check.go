// Checks that a log signed a checkpoint and holds an entry, with Go's own code (golang.org/x/mod/sumdb).
//
//	go mod init check && go get golang.org/x/mod && go run check.go tlog-proof-1.txt leaf.bin VERIFIER_KEY
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := check(os.Args[1:]); err != nil {
		fmt.Println("NOT OK:", err)
		os.Exit(1)
	}
}

func check(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("three arguments are needed: proof, leaf, the log's verifier key")
	}
	proof, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	leaf, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	head, signed, found := strings.Cut(string(proof), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("%s is no c2sp.org/tlog-proof@v1", args[0])
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var hashes tlog.RecordProof
	for _, line := range lines[2:] {
		bytes, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(bytes) != tlog.HashSize {
			return fmt.Errorf("%q is no hash", line)
		}
		var hash tlog.Hash
		copy(hash[:], bytes)
		hashes = append(hashes, hash)
	}
	verifier, err := note.NewVerifier(args[2])
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + afterLine(opened.Text)))
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
		return err
	}
	fmt.Printf("OK: %s signed a tree of %d entries, and entry %d is this leaf\n", verifier.Name(), tree.N, index)
	return nil
}

// The lines of a checkpoint below its origin: size and root.
func afterLine(text string) string {
	_, rest, _ := strings.Cut(text, "\n")
	return rest
}
