//! The workloads over both transports.

use std::time::Duration;

use cloud_channel_protocol::Endpoint;
use mgmt_sim::load::{Comparison, Faults, Measurement, Until, Workload};
use mgmt_sim::server_shell::{Management, ManagementConfig};

use crate::fake_server::{FakeServer, Misdeeds};
use crate::{carry_out, plan};

fn exact(measured: &Measurement, deliveries: u64) {
    assert_eq!(measured.faults, Faults::default());
    assert_eq!((measured.messages, measured.deliveries), (60, deliveries));
    assert_eq!(measured.goodbyes_missing, 0);
    assert!(measured.latency.is_some_and(|latency| latency.p50_us <= latency.max_us));
    assert!(measured.server_cpu_per_million.is_some() && measured.memory.is_some());
    assert!(measured.table().contains("lost, duplicated       0, 0"), "{}", measured.table());
}

/// Everything at a management server, which speaks WebSocket; it runs here, and the generator beside it.
fn at_a_management_server(check: impl FnOnce(&str) + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoints = [Endpoint::parse("ws://127.0.0.1:0/events").unwrap()];
        let management = Management::start(&endpoints, ManagementConfig::default()).await.unwrap();
        let url = management.endpoints()[0].clone();
        tokio::task::spawn_blocking(move || check(&url)).await.unwrap();
        management.stop().await.unwrap();
    });
}

#[test]
fn each_over_websocket() {
    at_a_management_server(|url| {
        exact(&carry_out(&plan(url, Workload::FanOut)).unwrap(), 300);
        exact(&carry_out(&plan(url, Workload::FanIn)).unwrap(), 60);
        exact(&carry_out(&plan(url, Workload::Targeted)).unwrap(), 60);
    });
}

#[test]
fn each_over_long_polling() {
    let server = FakeServer::start(Misdeeds::default());
    exact(&carry_out(&plan(&server.url, Workload::FanOut)).unwrap(), 300);
    exact(&carry_out(&plan(&server.url, Workload::FanIn)).unwrap(), 60);
    exact(&carry_out(&plan(&server.url, Workload::Targeted)).unwrap(), 60);
}

#[test]
fn one_message_outstanding() {
    at_a_management_server(|url| {
        let mut plan = plan(url, Workload::FanOut);
        plan.in_flight = 1;
        exact(&carry_out(&plan).unwrap(), 300);
    });
}

#[test]
fn idle_sessions_and_a_burst() {
    at_a_management_server(|url| {
        let mut plan = plan(url, Workload::Idle);
        plan.until = Until::Elapsed(Duration::from_millis(50));
        (plan.burst, plan.size) = (true, 100_000);
        let measured = carry_out(&plan).unwrap();
        assert_eq!((measured.faults, measured.deliveries), (Faults::default(), 0), "{}", measured.table());
        // The first connect of each is answered at once, which may be after it counts as open; the next one is held.
        assert!(measured.heartbeats <= 6, "{}", measured.heartbeats);
        assert!(measured.memory.unwrap().per_session_after_burst.is_some());
    });
}

#[test]
fn two_servers_in_turn() {
    at_a_management_server(|url| {
        let fake = FakeServer::start(Misdeeds::default());
        let mut comparison = Comparison::default();
        for _ in 0..2 {
            let first = carry_out(&plan(url, Workload::FanOut)).unwrap();
            let second = carry_out(&plan(&fake.url, Workload::FanOut)).unwrap();
            comparison.rounds.push((first, second));
        }
        assert!(comparison.is_faultless());
        let ratios = comparison.ratios();
        let (_, rate) = ratios.iter().find(|(name, _)| *name == "deliveries_per_second").unwrap();
        assert!(rate.least <= rate.median && rate.median <= rate.most && rate.least > 0.0);
        let table = comparison.table();
        assert!(table.starts_with("fan-out, 1 → 5, 4 in flight"), "{table}");
        assert!(table.contains(&format!("B = {} over long-polling", fake.url)), "{table}");
    });
}

#[test]
fn for_a_time() {
    at_a_management_server(|url| {
        let mut plan = plan(url, Workload::Targeted);
        plan.until = Until::Elapsed(Duration::from_millis(50));
        let measured = carry_out(&plan).unwrap();
        assert_eq!(measured.faults, Faults::default());
        assert!(measured.messages > 0 && measured.messages == measured.deliveries);
    });
}
