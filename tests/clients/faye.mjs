// Faye's client as a driver: `node faye.mjs URL websocket|long-polling [token=TOKEN]`.

import faye from "faye";
import {serve, tell} from "./lines.mjs";

const [url, transport, extension] = process.argv.slice(2);

const client = new faye.Client(url, {retry: 0.2});
// It shakes hands over long-polling in any case, and goes on over a WebSocket if it may.
if (transport === "long-polling") {
    client.disable("websocket");
}

const subscriptions = new Map();
const awaited = new Map();

const token = extension?.split("=")[1];
client.addExtension({
    outgoing(message, callback) {
        if (token && message.channel === "/meta/handshake") {
            message.ext = {cloudinit: {token}};
        }
        tell({out: message});
        callback(message);
    },
    incoming(message, callback) {
        tell({in: message});
        if (message.channel === "/meta/unsubscribe") {
            awaited.get(message.subscription)?.({successful: message.successful, error: message.error});
        }
        callback(message);
    },
});

// What is no error by the library's own grammar, which knows few characters, it gives as a message without a code.
const text = ({code, params, message}) => code === null ? message : `${code}:${params.join(",")}:${message}`;

const told = (promise) => promise.then(
    () => ({successful: true}),
    (error) => ({successful: false, error: text(error)}),
);

const open = () => new Promise((done) => client.connect(() => done({successful: true})));

const subscribe = ({channel}) => {
    const hear = (name, data) => tell({event: {channel: name, data}, by: channel});
    const subscription = client.subscribe(channel).withChannel(hear);
    subscriptions.set(channel, subscription);
    return told(subscription);
};

/** The library does not say when it is done: the reply does. */
const unsubscribe = ({channel}) => new Promise((done) => {
    awaited.set(channel, done);
    subscriptions.get(channel).cancel();
    subscriptions.delete(channel);
});

const publish = ({channel, data}) => told(client.publish(channel, data));

/** All messages at once: over long-polling the library makes one request of them. */
const batch = async ({messages}) => {
    const replies = await Promise.all(messages.map(publish));
    return {successful: replies.every((reply) => reply.successful)};
};

const close = () => told(client.disconnect());

serve({open, subscribe, unsubscribe, publish, batch, close});
