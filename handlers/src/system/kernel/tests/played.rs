//! What belongs together in a snapshot, and a kernel that a test plays.

use std::net::IpAddr;

use super::super::*;
use crate::system::{FileState, MemorySystem, System as _};

fn link(index: u32, name: &str) -> KernelLink {
    KernelLink { index, name: name.into(), mtu: 1500, ..KernelLink::default() }
}

#[test]
fn what_belongs_to_a_link_is_found_by_its_index() {
    let hop = |link| KernelHop { gateway: None, link: Some(link) };
    let route = |hops| KernelRoute {
        destination: IpAddr::from([0, 0, 0, 0]),
        prefix: 0,
        hops,
        table: 254,
        metric: None,
        kind: KernelRouteKind::Unicast,
        protocol: 4,
        scope: KernelScope::Global,
        source: None,
    };
    let network = KernelNetwork {
        links: vec![link(2, "eth0"), link(3, "eth1")],
        routes: vec![route(vec![hop(2)]), route(vec![hop(2), hop(3)]), route(Vec::new())],
        gaps: vec![KernelGap { part: KernelPart::Rules, count: 1, reason: "none".into() }],
        ..KernelNetwork::default()
    };
    let eth1 = network.link_named("eth1").unwrap();
    assert_eq!(network.routes_of(eth1.index).count(), 1);
    assert_eq!(network.routes_of(2).filter(|route| route.is_default()).count(), 2);
    assert_eq!(network.link(4), None);
    assert!(network.has_all(KernelPart::Routes) && !network.has_all(KernelPart::Rules));
}

#[test]
fn a_played_kernel_follows_files_and_commands() {
    assert_eq!(MemorySystem::new().network().unwrap(), None);
    let system = MemorySystem::new().with_program("/usr/sbin/ip").with_kernel(|files, commands| {
        let name = if files.contains_key("/renamed") { "ens0" } else { "eth0" };
        let index = u32::try_from(commands.len()).unwrap();
        if index > 1 {
            Err("no more".into())
        } else {
            Ok(KernelNetwork { links: vec![link(index, name)], ..KernelNetwork::default() })
        }
    });
    assert_eq!(system.network().unwrap().unwrap().links, [link(0, "eth0")]);
    system.write("/renamed", &FileState::of_root("", 0o644)).unwrap();
    let command = crate::Invocation {
        program: "/usr/sbin/ip".into(),
        args: Vec::new(),
        stdin: None,
        deadline: std::time::Duration::from_secs(1),
        subjects: Vec::new(),
    };
    system.run(&command).unwrap();
    assert_eq!(system.network().unwrap().unwrap().links, [link(1, "ens0")]);
    system.run(&command).unwrap();
    let error = system.network().unwrap_err();
    assert_eq!(error.to_string(), "cannot read the kernel's network: no more");
}
