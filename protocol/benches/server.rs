//! What the server core costs by itself: no sockets, no clock, no threads; bytes in, frames out.
//!
//! An item is one delivery, so the time of an item is what routing, queueing and encoding add to the kernel's price of a
//! read and a write. Run with `make bench`; `specs/benchmarks.md` says what came out and how to read it.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod world;

use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, Divan, black_box};
use world::World;

/// Messages that are handled before the first frame is asked for, where many are in flight.
const BURST: usize = 64;

fn main() {
    // Long enough to go round all channels and sessions more than once.
    Divan::default().min_time(Duration::from_millis(500)).config_with_args().main();
}

/// One publish to N subscribers, each with the message alone in its frame.
#[divan::bench(args = [1, 10, 100, 1_000])]
fn fan_out(bencher: Bencher<'_, '_>, receivers: usize) {
    let mut world = World::new();
    let publish = fan_out_to(&mut world, receivers);
    bencher.counter(ItemsCount::new(receivers)).bench_local(|| {
        world.receive(publish.0, &publish.1);
        // The reply goes to the publisher.
        assert_eq!(world.pump(), receivers + 1);
    });
}

/// 64 publishes to N subscribers before the frames are asked for: they share one frame for each subscriber.
#[divan::bench(args = [1, 10, 100, 1_000])]
fn fan_out_in_flight(bencher: Bencher<'_, '_>, receivers: usize) {
    let mut world = World::new();
    let publish = fan_out_to(&mut world, receivers);
    bencher.counter(ItemsCount::new(receivers * BURST)).bench_local(|| {
        for _ in 0..BURST {
            world.receive(publish.0, &publish.1);
        }
        assert_eq!(world.pump(), receivers + 1);
    });
}

/// N publishers to one subscriber by a wildcard, one message at a time.
#[divan::bench(args = [100, 1_000])]
fn fan_in(bencher: Bencher<'_, '_>, publishers: usize) {
    let mut world = World::new();
    world.join(&["/bench/*"]);
    let publishes: Vec<(u64, Vec<u8>)> =
        (0..publishers).map(|n| publish_from(&mut world, &format!("/bench/p{n}"))).collect();
    let mut turns = publishes.iter().cycle();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let (connection, batch) = turns.next().unwrap();
        world.receive(*connection, batch);
        assert_eq!(world.pump(), 2);
    });
}

/// One publisher to one of N exact channels, one message at a time.
#[divan::bench(args = [1, 1_000, 5_000])]
fn targeted(bencher: Bencher<'_, '_>, channels: usize) {
    let mut world = World::new();
    let publisher = world.join(&[]);
    for n in 0..channels {
        world.join(&[&format!("/bench/c{n}")]);
    }
    let publishes: Vec<Vec<u8>> = (0..channels).map(|n| publisher.publish(&format!("/bench/c{n}"))).collect();
    let mut turns = publishes.iter().cycle();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        world.receive(publisher.connection, turns.next().unwrap());
        assert_eq!(world.pump(), 2);
    });
}

/// One publisher to one subscriber, beside N subscriptions of others that do not match: half of them wildcards.
#[divan::bench(args = [10, 100_000])]
fn beside_unrelated_subscriptions(bencher: Bencher<'_, '_>, unrelated: usize) {
    let mut world = World::new();
    let patterns: Vec<String> = (0..unrelated)
        .map(|n| if n % 2 == 0 { format!("/other/{n}") } else { format!("/other/{n}/*") })
        .collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    for some in patterns.chunks(1_000) {
        world.join(some);
    }
    let publish = fan_out_to(&mut world, 1);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        world.receive(publish.0, &publish.1);
        assert_eq!(world.pump(), 2);
    });
}

/// A publish that nobody hears: reading it, looking for subscribers, and its reply.
#[divan::bench]
fn publish_to_nobody(bencher: Bencher<'_, '_>) {
    let mut world = World::new();
    let publish = publish_from(&mut world, "/bench/nobody");
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        world.receive(publish.0, &publish.1);
        assert_eq!(world.pump(), 1);
    });
}

/// Reading a batch of 64 messages that all are refused for their unknown client: the decoder, mostly.
#[divan::bench]
fn decode_a_batch(bencher: Bencher<'_, '_>) {
    let mut world = World::new();
    let connection = world.open();
    let message = World::message("/bench/all", "0123456789abcdef0123456789abcdef");
    let batch = format!("[{}]", vec![message; BURST].join(",")).into_bytes();
    bencher.counter(ItemsCount::new(BURST)).bench_local(|| {
        world.receive(connection, &batch);
        assert_eq!(world.pump(), 1);
    });
}

/// A session from its handshake to its end, with one subscription; beside N others.
#[divan::bench(args = [0, 10_000])]
fn a_sessions_life(bencher: Bencher<'_, '_>, others: usize) {
    let mut world = World::new();
    for n in 0..others {
        world.join(&[&format!("/bench/other{n}")]);
    }
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let member = world.join(&["/bench/mine"]);
        world.leave(black_box(member));
    });
}

/// A connect of one session among N: the heartbeat that replaces a held one.
#[divan::bench(args = [10, 10_000])]
fn heartbeat(bencher: Bencher<'_, '_>, sessions: usize) {
    let mut world = World::new();
    let members: Vec<(u64, Vec<u8>)> = (0..sessions)
        .map(|n| {
            let member = world.join(&[&format!("/bench/other{n}")]);
            (member.connection, member.connect())
        })
        .collect();
    let mut turns = members.iter().cycle();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let (connection, connect) = turns.next().unwrap();
        world.receive(*connection, connect);
        world.pump()
    });
}

/// Where to put a publish to `/bench/all`, which so many subscribe to, and its bytes.
fn fan_out_to(world: &mut World, receivers: usize) -> (u64, Vec<u8>) {
    for _ in 0..receivers {
        world.join(&["/bench/all"]);
    }
    publish_from(world, "/bench/all")
}

/// A new publisher's connection, and a publish of it.
fn publish_from(world: &mut World, channel: &str) -> (u64, Vec<u8>) {
    let publisher = world.join(&[]);
    (publisher.connection, publisher.publish(channel))
}
