// The file below each root of an archive, by npm's @ipld/car and ipfs-unixfs-exporter: a line of its address, length
// and SHA-256 each.
//
// node --input-type=module - CAR < read.mjs       in the folder of node_modules
import crypto from 'node:crypto';
import { CarIndexedReader } from '@ipld/car';
import { exporter } from 'ipfs-unixfs-exporter';

const car = await CarIndexedReader.fromFile(process.argv[2]);
const blocks = {
  async * get(cid) {
    const block = await car.get(cid);
    if (block == null) throw new Error(`${cid} is not in the archive`);
    yield block.bytes;
  },
};
for (const root of await car.getRoots()) {
  const hash = crypto.createHash('sha256');
  let length = 0;
  for await (const piece of (await exporter(root, blocks)).content()) {
    hash.update(piece);
    length += piece.length;
  }
  console.log(`${root} ${length} ${hash.digest('hex')}`);
}
await car.close();
