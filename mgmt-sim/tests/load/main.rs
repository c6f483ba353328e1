//! Every workload of the load generator, small, against servers whose deliveries are known: what it counts has to be
//! exact. Nothing here is timed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod fake_server;
mod faults;
mod workloads;

use std::time::Duration;

use cloud_channel_protocol::{ChannelName, Endpoint, InstanceId};
use mgmt_sim::load::{LoadError, Measurement, Plan, Server, Target, Until, Workload, run};

/// A small load of 60 messages.
pub(crate) fn plan(url: &str, workload: Workload) -> Plan {
    Plan {
        target: Target::new(Endpoint::parse(url).unwrap(), None).unwrap(),
        workload,
        sessions: 5,
        in_flight: 4,
        batch: 3,
        until: Until::Messages(60),
        size: 300,
        burst: false,
        // Where a guest may publish at a management server.
        prefix: ChannelName::parse("/cloudinit/i-load/modules-config").unwrap(),
        instance: Some(InstanceId::parse("i-load").unwrap()),
        patience: Duration::from_secs(20),
    }
}

/// Carries a plan out; the server runs in this process.
pub(crate) fn carry_out(plan: &Plan) -> Result<Measurement, LoadError> {
    let server = Server::find(&plan.target);
    assert!(server.is_some(), "the socket's owner is this process");
    run(plan, server.as_ref(), &mut |_| {})
}
