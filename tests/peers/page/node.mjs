// What the page's WASM says of works and receipts, a line of JSON each, to be compared with what the program says.
//
// node node.mjs WASM POLICY < lines of {"name", "work", "receipt", "trusted"} with paths of files
import fs from 'node:fs';
import { Session } from './session.mjs';

const [wasm, policy] = process.argv.slice(2);
const session = await Session.open(wasm);
for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const { name, work, receipt, trusted } = JSON.parse(line);
  const outcome = session.receipt(name, fs.readFileSync(work), fs.readFileSync(receipt), trusted ? fs.readFileSync(policy) : null);
  console.log(JSON.stringify(outcome));
}
