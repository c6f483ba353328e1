//! udev, which names cards and sets them up after they have appeared: what it has in hand is waited for.
//!
//! The kernel tells of a card under the name that it gave it. Whoever acts on that name may find that udev has given the card
//! another meanwhile.

use std::time::Duration;

use crate::System;
use crate::presence::is_there;

/// Is there while udev has anything in hand; `udevadm settle` looks at it as well (systemd, src/udev/udevd.c).
const QUEUE: &str = "/run/udev/queue";

/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Looks before it is no longer waited for: 20 seconds. A rule that hangs must not keep cards from being configured.
const MOST_LOOKS: u32 = 200;

/// Waits until udev has nothing in hand, or for long enough. Without udev there is nothing to wait for.
pub(crate) fn settle(system: &dyn System) {
    for _ in 0..MOST_LOOKS {
        // A folder that cannot be read tells nothing of udev; what is planned is tried all the same.
        if !is_there(QUEUE, system).unwrap_or_default() {
            return;
        }
        system.pause(BETWEEN_LOOKS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;
    use crate::{Held, config_module};
    use cloud_channel_protocol::Module;
    use serde_json::value::to_raw_value;

    #[test]
    fn udev_is_waited_for_and_not_for_ever() {
        let system = MemorySystem::new().with_file("/run/udev/control", "");
        settle(&system);
        assert_eq!(system.paused(), Duration::ZERO);
        let system = system.with_file("/run/udev/queue", "");
        settle(&system);
        assert_eq!(system.paused(), Duration::from_secs(20));
    }

    #[test]
    fn whoever_only_asks_does_not_wait() {
        let system = MemorySystem::new().with_program("/usr/sbin/netplan").with_file("/run/udev/queue", "");
        let module = config_module(Module::Network);
        let push = to_raw_value(&serde_json::json!({"version": 2})).unwrap();
        module.check(&push, &system).unwrap();
        module.plan(&Held::nothing(), &push, &system).unwrap();
        module.outlook(&Held::nothing(), &system).unwrap();
        assert_eq!(system.paused(), Duration::ZERO);
        module.settle(&system);
        assert_eq!(system.paused(), Duration::from_secs(20));
    }
}
