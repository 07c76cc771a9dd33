package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight     = 8
	tileWidth      = 1 << tileHeight
	inclusionsMax  = 1000
	treeSizesCount = 40 // about as many sizes have their consistency proven
)

// logOnDisk is a log in the layout of c2sp.org/tlog-tiles, in a folder or behind an http URL. Proofs
// are made from its tile files; what these must hold is computed again from its entries.
type logOnDisk struct {
	dir     string // or the URL
	tree    tlog.Tree
	records [][]byte
	hashes  storedHashes
}

func readTiles(key note.Verifier, dir string, proofPaths []string) (string, error) {
	log := &logOnDisk{dir: dir}
	if err := log.readCheckpoint(key); err != nil {
		return "", err
	}
	if err := log.readRecords(); err != nil {
		return "", err
	}
	if err := log.checkRoot(); err != nil {
		return "", err
	}
	tiles, bundles, err := log.checkFiles()
	if err != nil {
		return "", err
	}
	inclusions, err := log.checkInclusions()
	if err != nil {
		return "", err
	}
	sizes, err := log.checkConsistency()
	if err != nil {
		return "", err
	}
	for _, path := range proofPaths {
		proof, err := readProof(key, path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if err := log.checkExtends(proof.tree); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if err := log.checkServes(proof); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
	}
	return fmt.Sprintf("accepted %d entries: %d tiles, %d bundles, %d inclusion proofs, "+
		"%d consistency proofs, %d of them from signed trees",
		log.tree.N, tiles, bundles, inclusions, sizes+len(proofPaths), len(proofPaths)), nil
}

func (log *logOnDisk) isRemote() bool { return strings.HasPrefix(log.dir, "http://") }

func (log *logOnDisk) readFile(path string) ([]byte, error) {
	if !log.isRemote() {
		return os.ReadFile(filepath.Join(log.dir, path))
	}
	answer, err := http.Get(log.dir + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		return nil, fs.ErrNotExist
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func (log *logOnDisk) readCheckpoint(key note.Verifier) error {
	file, err := log.readFile("checkpoint")
	if err != nil {
		return err
	}
	log.tree, err = openCheckpoint(key, file)
	return err
}

// readRecords reads the bundles the checkpoint speaks of: each record behind its length.
func (log *logOnDisk) readRecords() error {
	for n := int64(0); n*tileWidth < log.tree.N; n++ {
		path := bundlePath(n, widthAt(log.tree.N, n))
		bundle, err := log.readFile(path)
		if err != nil {
			return err
		}
		for i := 0; i < widthAt(log.tree.N, n); i++ {
			if len(bundle) < 2 {
				return fmt.Errorf("%s: too short", path)
			}
			length := int(binary.BigEndian.Uint16(bundle))
			if bundle = bundle[2:]; len(bundle) < length {
				return fmt.Errorf("%s: too short", path)
			}
			log.records = append(log.records, bundle[:length])
			bundle = bundle[length:]
		}
		if len(bundle) != 0 {
			return fmt.Errorf("%s: %d bytes too long", path, len(bundle))
		}
	}
	return nil
}

func (log *logOnDisk) checkRoot() error {
	for i, record := range log.records {
		hashes, err := tlog.StoredHashes(int64(i), record, log.hashes)
		if err != nil {
			return err
		}
		log.hashes = append(log.hashes, hashes...)
	}
	root, err := log.rootAt(log.tree.N)
	if err == nil && root != log.tree.Hash {
		err = fmt.Errorf("root: the entries lead to %v, the checkpoint says %v", root, log.tree.Hash)
	}
	return err
}

// checkFiles compares every tile and bundle, partial ones of earlier trees too, with what the
// entries make of it. The widest of each must be there, and nothing else may be.
func (log *logOnDisk) checkFiles() (tiles, bundles int, err error) {
	files, err := log.files()
	if err != nil {
		return 0, 0, err
	}
	delete(files, "checkpoint")
	for level := 0; log.tree.N>>(tileHeight*level) > 0; level++ {
		subtrees := log.tree.N >> (tileHeight * level)
		for n := int64(0); n*tileWidth < subtrees; n++ {
			widest := widthAt(subtrees, n)
			for width := 1; width <= widest; width++ {
				tile := tlog.Tile{H: tileHeight, L: level, N: n, W: width}
				if path := tilePath(level, n, width); files[path] || width == widest {
					want, err := tlog.ReadTileData(tile, log.hashes)
					if err != nil {
						return tiles, bundles, err
					}
					if err := log.checkFile(path, want); err != nil {
						return tiles, bundles, err
					}
					delete(files, path)
					tiles++
				}
				widestRemote := log.isRemote() && width == widest
				if path := bundlePath(n, width); level == 0 && (files[path] || widestRemote) {
					want := bundleOf(log.records[n*tileWidth:][:width])
					if err := log.checkFile(path, want); err != nil {
						return tiles, bundles, err
					}
					delete(files, path)
					bundles++
				}
			}
		}
	}
	for path := range files {
		return tiles, bundles, fmt.Errorf("%s: no part of the tree", path)
	}
	return tiles, bundles, nil
}

func (log *logOnDisk) checkFile(path string, want []byte) error {
	got, err := log.readFile(path)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s: not what the entries make of it", path)
	}
	return err
}

// files are the paths of all files of the log, relative to its folder.
func (log *logOnDisk) files() (map[string]bool, error) {
	files := make(map[string]bool)
	if log.isRemote() {
		return files, nil // what else a server has nobody can list: the widest of each are asked for
	}
	err := filepath.WalkDir(log.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		path, err = filepath.Rel(log.dir, path)
		files[path] = true
		return err
	})
	return files, err
}

// checkInclusions proves entries, evenly spread, from the tile files.
func (log *logOnDisk) checkInclusions() (count int, err error) {
	reader := tlog.TileHashReader(log.tree, log)
	step := log.tree.N/inclusionsMax + 1
	for i := int64(0); i < log.tree.N; i += step {
		proof, err := tlog.ProveRecord(log.tree.N, i, reader)
		if err != nil {
			return count, err
		}
		hash := tlog.RecordHash(log.records[i])
		if err := tlog.CheckRecord(proof, log.tree.N, log.tree.Hash, i, hash); err != nil {
			return count, fmt.Errorf("inclusion of entry %d: %w", i, err)
		}
		count++
	}
	return count, nil
}

// checkConsistency proves from the tile files that the log extends earlier trees of itself.
func (log *logOnDisk) checkConsistency() (count int, err error) {
	step := log.tree.N/treeSizesCount + 1
	for n := int64(1); n <= log.tree.N; n += step {
		root, err := log.rootAt(n)
		if err != nil {
			return count, err
		}
		if err := log.checkExtends(tlog.Tree{N: n, Hash: root}); err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}

func (log *logOnDisk) checkExtends(old tlog.Tree) error {
	if old.N < 1 || old.N > log.tree.N {
		return fmt.Errorf("a tree of %d entries is none of this log's", old.N)
	}
	proof, err := tlog.ProveTree(log.tree.N, old.N, tlog.TileHashReader(log.tree, log))
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, log.tree.N, log.tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("consistency of %d with %d entries: %w", old.N, log.tree.N, err)
	}
	return nil
}

// checkServes reads the log as somebody does who holds an earlier checkpoint, of a size whose
// partial tiles must be there as long as they are not full. The proof is one that the log gave.
func (log *logOnDisk) checkServes(given *proof) error {
	n := (given.tree.N - 1) / tileWidth
	if _, err := log.read(bundlePath, n, widthAt(given.tree.N, n)); err != nil {
		return err
	}
	made, err := tlog.ProveRecord(given.tree.N, given.index, tlog.TileHashReader(given.tree, log))
	if err != nil {
		return err
	}
	hash := tlog.RecordHash(log.records[given.index])
	for _, proof := range []tlog.RecordProof{made, given.hashes} {
		err := tlog.CheckRecord(proof, given.tree.N, given.tree.Hash, given.index, hash)
		if err != nil {
			return fmt.Errorf("entry %d of %d: %w", given.index, given.tree.N, err)
		}
	}
	return nil
}

func (log *logOnDisk) rootAt(size int64) (tlog.Hash, error) {
	if size == 0 {
		return sha256.Sum256(nil), nil // the tlog package has zeros for it
	}
	return tlog.TreeHash(size, log.hashes)
}

// The three methods of a tlog.TileReader.

func (log *logOnDisk) Height() int { return tileHeight }

func (log *logOnDisk) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := func(n int64, width int) string { return tilePath(tile.L, n, width) }
		file, err := log.read(path, tile.N, tile.W)
		if err != nil || len(file) < tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: missing or too short (%v)", path(tile.N, tile.W), err)
		}
		data[i] = file[:tile.W*tlog.HashSize]
	}
	return data, nil
}

func (log *logOnDisk) SaveTiles([]tlog.Tile, [][]byte) {}

// read reads a partial file, or the full one that has taken its place.
func (log *logOnDisk) read(path func(int64, int) string, n int64, width int) ([]byte, error) {
	file, err := log.readFile(path(n, width))
	if errors.Is(err, fs.ErrNotExist) {
		full, fullErr := log.readFile(path(n, tileWidth))
		if fullErr == nil {
			return full, nil
		}
	}
	return file, err
}

// storedHashes are all hashes of a tree, in the order of the tlog package.
type storedHashes []tlog.Hash

func (hashes storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(hashes)) {
			return nil, fmt.Errorf("no stored hash %d", index)
		}
		found[i] = hashes[index]
	}
	return found, nil
}

func bundleOf(records [][]byte) []byte {
	var bundle []byte
	for _, record := range records {
		bundle = append(bundle, byte(len(record)>>8), byte(len(record)))
		bundle = append(bundle, record...)
	}
	return bundle
}

// widthAt is how many entries of a tree fall to bundle n.
func widthAt(size, n int64) int {
	if rest := size - n*tileWidth; rest < tileWidth {
		return int(rest)
	}
	return tileWidth
}

// tilePath is C2SP's, unlike Tile.Path, which is that of the Go checksum database.
func tilePath(level int, n int64, width int) string {
	return fmt.Sprintf("tile/%d/%s", level, tileNumber(n, width))
}

func bundlePath(n int64, width int) string {
	return "tile/entries/" + tileNumber(n, width)
}

// tileNumber writes 1234067 as x001/x234/067, followed by .p/<width> if partial.
func tileNumber(n int64, width int) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	if width < tileWidth {
		text += fmt.Sprintf(".p/%d", width)
	}
	return text
}
