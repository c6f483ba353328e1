// A CometD server (cometd-nodejs-server, long-polling only) to compare with: node cometd-server.js [PORT], then
// mgmt-sim load … --against http://127.0.0.1:PORT/cometd
// Needs `npm install cometd-nodejs-server` in this folder, or NODE_PATH set to where it is installed. Without a port any
// free one is taken; the URL is printed once it listens.
'use strict';

const http = require('http');
const cometd = require('cometd-nodejs-server').createCometDServer();

const server = http.createServer((request, response) => cometd.handle(request, response));
server.listen(Number(process.argv[2] || 0), '127.0.0.1', 1024, () => {
  console.log(`http://127.0.0.1:${server.address().port}/cometd`);
});
