// Starts the npm package s3rver on a free port of loopback: `node s3rver.cjs DIRECTORY BUCKET`.
//
// As it comes, it answers a PUT before the bytes are in the file, and others read the file while it is written. S3 does
// neither, so what is put is written aside here and renamed.
'use strict';

const { createHash, randomUUID } = require('crypto');
const fs = require('fs');
const path = require('path');
const { PassThrough, Readable } = require('stream');
const { pipeline } = require('stream/promises');
const S3rver = require('s3rver');

const [directory, bucket] = process.argv.slice(2);
const aside = path.join(directory, 'aside');
const works = path.join(directory, 'buckets');
fs.mkdirSync(aside, { recursive: true });
fs.mkdirSync(works, { recursive: true });

async function place(content, file) {
  const incoming = path.join(aside, randomUUID());
  const hash = createHash('md5');
  const hashed = new PassThrough();
  hashed.on('data', bytes => hash.update(bytes));
  const source = Buffer.isBuffer(content) ? Readable.from([content]) : content;
  await pipeline(source, hashed, fs.createWriteStream(incoming));
  const { size } = fs.statSync(incoming);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.renameSync(incoming, file);
  return { size, md5: hash.digest('hex') };
}

const server = new S3rver({
  address: '127.0.0.1',
  port: 0,
  silent: true,
  directory: works,
  configureBuckets: [{ name: bucket }],
});
const store = Object.getPrototypeOf(server.store);

store.putObject = async function (object) {
  const placed = await place(object.content, this.getResourcePath(object.bucket, object.key, 'object'));
  await this.putMetadata(object.bucket, object.key, object.metadata, placed.md5);
  return placed;
};

store.putPart = async function (bucket, uploadId, number, content) {
  const part = path.join(this.getResourcePath(bucket, undefined, 'uploads'), uploadId, String(number));
  const placed = await place(content, part);
  fs.writeFileSync(`${part}.md5`, placed.md5);
  return placed;
};

server.run().then(({ port }) => console.log(`listening on http://127.0.0.1:${port}`));
