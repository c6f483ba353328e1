// cometd-nodejs-server as a management server: `node cometd-server.mjs PORT TIMEOUT`. Port 0 is any free one; a connect
// is held for TIMEOUT milliseconds, and a session lives for as long without one. It serves long-polling alone.

import {createServer} from "node:http";
import cometd from "cometd-nodejs-server";
import ack from "cometd-nodejs-server/ack-extension.js";
import {serve, tell} from "./lines.mjs";

const [port, timeout] = process.argv.slice(2).map(Number);
const bayeux = cometd.createCometDServer({timeout, maxInterval: timeout});
bayeux.addExtension(new ack.AcknowledgedMessagesExtension());

bayeux.addListener("sessionAdded", (session) => tell({began: session.id}));
bayeux.addListener("sessionRemoved", (session) => tell({ended: session.id}));
bayeux.addListener("subscribed", (channel, session) => tell({subscribed: channel.name, client: session.id}));

// Its events have no `id` and no `ext` by themselves: an extension is where an application adds them.
let extra = {};
bayeux.addExtension({
    incoming(_server, _session, message, callback) {
        if (!message.channel.startsWith("/meta/")) {
            const {reply, ...published} = message;
            tell({published});
        }
        callback(undefined, true);
    },
    outgoing(_server, sender, _session, message, callback) {
        // What a client has published comes by here too, and is passed on as it is.
        const own = sender === null && message.ext === undefined;
        callback(undefined, own ? Object.assign(message, extra) : message);
    },
});

const publish = ({channel, data, ...more}) => new Promise((done) => {
    const {id, ext} = more;
    extra = JSON.parse(JSON.stringify({id, ext}));
    bayeux.createServerChannel(channel).publish(null, data, (failure) => done({successful: !failure}));
});

const server = createServer(bayeux.handle);
server.listen(port, "127.0.0.1", () => tell({listening: server.address().port}));
serve({publish});
