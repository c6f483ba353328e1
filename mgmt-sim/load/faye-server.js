// A Faye server to compare with: node faye-server.js [PORT], then mgmt-sim load … --against ws://127.0.0.1:PORT/faye
// Needs `npm install faye` in this folder, or NODE_PATH set to where it is installed. Without a port any free one is
// taken; the URL is printed once it listens.
'use strict';

const http = require('http');
const faye = require('faye');

const server = http.createServer();
new faye.NodeAdapter({ mount: '/faye', timeout: 45 }).attach(server);
server.listen(Number(process.argv[2] || 0), '127.0.0.1', 1024, () => {
  console.log(`ws://127.0.0.1:${server.address().port}/faye`);
});
