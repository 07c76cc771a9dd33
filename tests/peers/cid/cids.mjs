// The address of each file by npm's ipfs-unixfs-importer, a line each.
//
// node --input-type=module - FILE... < cids.mjs       in the folder of node_modules
import fs from 'node:fs';
import { BlackHoleBlockstore } from 'blockstore-core/black-hole';
import { importer } from 'ipfs-unixfs-importer';
import { fixedSize } from 'ipfs-unixfs-importer/chunker';
import { balanced } from 'ipfs-unixfs-importer/layout';

const profile = {
  cidVersion: 1,
  rawLeaves: true,
  reduceSingleLeafToSelf: true,
  chunker: fixedSize({ chunkSize: 262144 }),
  layout: balanced({ maxChildrenPerNode: 174 }),
};
for (const file of process.argv.slice(2)) {
  const source = [{ content: fs.createReadStream(file) }];
  for await (const { cid } of importer(source, new BlackHoleBlockstore(), profile)) {
    console.log(cid.toString());
  }
}
