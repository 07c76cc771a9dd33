// Writes the files below a folder into an archive, by npm's ipfs-unixfs-importer and @ipld/car.
//
// node --input-type=module - KIND FOLDER CAR < write.mjs       in the folder of node_modules
import fs from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CarWriter } from '@ipld/car';
import { importer } from 'ipfs-unixfs-importer';
import { fixedSize } from 'ipfs-unixfs-importer/chunker';
import { flat, trickle } from 'ipfs-unixfs-importer/layout';

// Where a file of one leaf that is a node has a mode, the importer 17.1.1 puts that whole node into another as if it were
// bytes of the file, and its own exporter reads it so: hence no reducing where leaves are nodes.
const kinds = {
  // Leaves as nodes of UnixFS, as they were before raw blocks, by names of version 0; of the older of two types.
  old: { cidVersion: 0, rawLeaves: false, reduceSingleLeafToSelf: false, leafType: 'raw', chunker: fixedSize({ chunkSize: 1000 }) },
  // Nodes at every depth.
  trickle: { cidVersion: 1, rawLeaves: true, chunker: fixedSize({ chunkSize: 999 }), layout: trickle({ layerRepeat: 2, maxSiblings: 3 }) },
  // Every file below a node of its own, also the empty one.
  unreduced: { cidVersion: 1, rawLeaves: true, reduceSingleLeafToSelf: false, layout: flat() },
  // Every folder in shards.
  sharded: { cidVersion: 1, rawLeaves: false, reduceSingleLeafToSelf: false, shardSplitThresholdBytes: 0 },
};
const [kind, folder, out] = process.argv.slice(2);
const blocks = new Map();
const store = {
  async put(cid, bytes) {
    const pieces = [];
    if (bytes instanceof Uint8Array) pieces.push(bytes);
    else for await (const piece of bytes) pieces.push(piece);
    blocks.set(cid.toString(), { cid, bytes: Buffer.concat(pieces) });
    return cid;
  },
};
const source = fs.readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
  .map((file) => ({ path: path.relative(folder, file), content: fs.createReadStream(file), mode: 0o640, mtime: { secs: 1n, nsecs: 2 } }));
let root;
for await (const entry of importer(source, store, { wrapWithDirectory: true, ...kinds[kind] })) root = entry.cid;
const { writer, out: bytes } = CarWriter.create([root]);
const written = pipeline(Readable.from(bytes), fs.createWriteStream(out));
for (const block of blocks.values()) await writer.put(block);
await writer.close();
await written;
