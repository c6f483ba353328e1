// A Faye server as a management server: `node faye-server.mjs PORT TIMEOUT`. Port 0 is any free one; a connect is held
// for TIMEOUT milliseconds, and a session lives for twice as long.

import {createServer} from "node:http";
import faye from "faye";
import {serve, tell} from "./lines.mjs";

const [port, timeout] = process.argv.slice(2).map(Number);
const server = createServer();
const bayeux = new faye.NodeAdapter({mount: "/events", timeout: timeout / 1000});
bayeux.attach(server);

// Messages of its own have no request.
bayeux.addExtension({
    incoming(message, request, callback) {
        if (request && !message.channel.startsWith("/meta/")) {
            tell({published: message});
        }
        callback(message);
    },
});
bayeux.on("handshake", (client) => tell({began: client}));
bayeux.on("subscribe", (client, channel) => tell({subscribed: channel, client}));
bayeux.on("disconnect", (client) => tell({ended: client}));

// `ext` is no part of Faye's publish: it is added where the message leaves.
let extra;
bayeux.getClient().addExtension({
    outgoing(message, callback) {
        callback(extra && !message.channel.startsWith("/meta/") ? {...message, ext: extra} : message);
    },
});

const publish = async ({channel, data, ext}) => {
    extra = ext;
    const publication = bayeux.getClient().publish(channel, data);
    await publication;
    return {successful: true};
};

server.listen(port, "127.0.0.1", () => tell({listening: server.address().port}));
serve({publish});
