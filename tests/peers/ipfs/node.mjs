// An IPFS node (js-ipfs) that serves the RPC on loopback and talks to nobody else.
//
// node node.mjs REPOSITORY PORT

// What its libraries use of Node 22.
Promise.withResolvers ??= function () {
  const parts = {};
  parts.promise = new this((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};
const { create } = await import('ipfs-core');
const { HttpApi } = await import('ipfs-http-server');

const [repo, port] = process.argv.slice(2);
const node = await create({
  repo,
  silent: true,
  offline: true,
  preload: { enabled: false },
  init: { emptyRepo: true, algorithm: 'Ed25519', profiles: ['test'] },
  config: {
    Addresses: { Swarm: [], API: `/ip4/127.0.0.1/tcp/${port}`, Delegates: [] },
    Bootstrap: [],
    Routing: { Type: 'none' },
  },
});
await new HttpApi(node).start();
console.log(`ready: http://127.0.0.1:${port}`);
