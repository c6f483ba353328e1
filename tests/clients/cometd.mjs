// The CometD JavaScript client as a driver: `node cometd.mjs URL websocket|long-polling [EXTENSION…]`, the extensions
// being ack, binary, reload, replay, timestamp, timesync and token=TOKEN.

import {adapt} from "cometd-nodejs-client";
import * as cometd from "cometd";
import {serve, tell} from "./lines.mjs";

const [url, transport, ...extensions] = process.argv.slice(2);
const known = {
    ack: cometd.AckExtension,
    binary: cometd.BinaryExtension,
    reload: cometd.ReloadExtension,
    timestamp: cometd.TimeStampExtension,
    timesync: cometd.TimeSyncExtension,
};
const transports = {websocket: cometd.WebSocketTransport, "long-polling": cometd.LongPollingTransport};

/** Tells every message as it is on the wire: the extension that is registered first is the nearest to it. */
class Recorder extends cometd.Extension {
    outgoing(message) {
        tell({out: message});
        return message;
    }

    incoming(message) {
        tell({in: message});
        return message;
    }
}

/** Shows a token in the handshake. */
class Token extends cometd.Extension {
    constructor(token) {
        super();
        this.token = token;
    }

    outgoing(message) {
        if (message.channel === "/meta/handshake") {
            message.ext = {...message.ext, cloudinit: {token: this.token}};
        }
        return message;
    }
}
known.token = Token;

/** True if a channel is one of a pattern. */
function fits(pattern, channel) {
    if (pattern.endsWith("/**")) {
        return channel.startsWith(pattern.slice(0, -2));
    }
    const cut = channel.lastIndexOf("/");
    return pattern === channel || pattern === `${channel.slice(0, cut)}/*`;
}

/** The replay extension: a subscription begins after the last number that was seen for it, or after the one it is given. */
class Replay extends cometd.Extension {
    numbers = new Map();

    outgoing(message) {
        if (message.channel === "/meta/handshake") {
            message.ext = {...message.ext, replay: true};
        } else if (message.channel === "/meta/subscribe" && this.numbers.has(message.subscription)) {
            message.ext = {...message.ext, replay: {[message.subscription]: this.numbers.get(message.subscription)}};
        }
        return message;
    }

    incoming(message) {
        const number = message.ext?.cloudinit?.seq;
        for (const pattern of number === undefined ? [] : this.numbers.keys()) {
            if (fits(pattern, message.channel)) {
                this.numbers.set(pattern, number);
            }
        }
        return message;
    }
}
known.replay = Replay;

adapt();
// Where a browser keeps what outlives a page.
const storage = new Map();
window.sessionStorage = {
    getItem: (key) => storage.get(key) ?? null,
    setItem: (key, value) => storage.set(key, value),
    removeItem: (key) => storage.delete(key),
};

let client;
let subscriptions = new Map();

function begin() {
    client = new cometd.CometD();
    client.unregisterTransports();
    client.registerTransport(transport, new transports[transport]());
    client.registerExtension("recorder", new Recorder());
    for (const [name, argument] of extensions.map((word) => word.split("="))) {
        client.registerExtension(name, new known[name](argument));
    }
    client.configure({
        url,
        logLevel: "warn",
        backoffIncrement: 100,
        maxBackoff: 500,
        // What the server takes; the client's own default is 8 kB.
        maxSendBayeuxMessageSize: 256 * 1024,
    });
    // A new session has none of the old one's subscriptions: making them again is the application's part.
    client.addListener("/meta/handshake", (reply) => {
        if (reply.successful) {
            client.batch(() => {
                for (const [channel, former] of subscriptions) {
                    subscriptions.set(channel, client.resubscribe(former));
                }
            });
        }
    });
}

const told = (reply) => ({successful: reply.successful, error: reply.error});

/** Shakes hands, and is done with the reply to the first connect. */
const open = () => new Promise((done) => {
    const listener = client.addListener("/meta/connect", (reply) => {
        client.removeListener(listener);
        done(told(reply));
    });
    client.handshake((reply) => reply.successful || done(told(reply)));
});

const subscribe = ({channel, from}) => new Promise((done) => {
    if (from !== undefined) {
        client.getExtension("replay").numbers.set(channel, from);
    }
    // A subscription to `/**` hears replies too, which have no data.
    const hear = ({channel: name, data}) => data === undefined || tell({event: {channel: name, data}, by: channel});
    const subscription = client.subscribe(channel, hear, (reply) => {
        if (reply.successful) {
            subscriptions.set(channel, subscription);
        }
        done(told(reply));
    });
});

const unsubscribe = ({channel}) => new Promise((done) => {
    client.unsubscribe(subscriptions.get(channel), (reply) => done(told(reply)));
    subscriptions.delete(channel);
});

const publish = ({channel, data}) => new Promise((done) => client.publish(channel, data, (reply) => done(told(reply))));

/** All messages in one request. */
const batch = ({messages}) => {
    let replies;
    client.batch(() => replies = messages.map(publish));
    return Promise.all(replies).then((all) => ({successful: all.every((reply) => reply.successful)}));
};

/** Bytes, which the binary extension makes text. */
const binary = ({channel, bytes}) => new Promise((done) => {
    client.publishBinary(channel, new Uint8Array(bytes), true, {}, (reply) => done(told(reply)));
});

/** Hears bytes. */
const hear_binary = ({channel}) => new Promise((done) => {
    const hear = ({data}) => tell({bytes: [...new Uint8Array(data.data)], by: channel});
    client.subscribe(channel, hear, (reply) => done(told(reply)));
});

/** Leaves a page and comes back to it: a new client that takes up the session of the old one. */
const reload = async () => {
    client.reload();
    subscriptions = new Map();
    begin();
    return open();
};

const close = () => new Promise((done) => client.disconnect((reply) => done(told(reply))));

begin();
serve({open, subscribe, unsubscribe, publish, batch, binary, hear_binary, reload, close});
