//! The devices that were told of: what is there now and is not among them has come meanwhile.
//!
//! The table is made when a machine is looked at for the first time. Without it nothing is known, which is another thing
//! than a machine without devices; a journal that an earlier version has written is read so too.

use redb::{ReadTransaction, ReadableTable, TableError};

use super::fault::Fault;
use super::key::{Keys, Number, number};
use super::record::{DeviceChange, KnownDevices};
use super::table::{DEVICES, decode, encode};
use super::work::Work;

/// Devices that are remembered at most.
pub const MAX_DEVICES: usize = 1_024;

impl Work {
    /// Writes changes, and that the machine was looked at. Gives how many found no room.
    pub(super) fn note_devices(&mut self, changes: &[DeviceChange]) -> Result<usize, Fault> {
        use redb::ReadableTableMetadata;
        self.changed = true;
        let mut table = self.txn.open_table(DEVICES.definition())?;
        let mut refused = 0;
        for change in changes {
            match change {
                DeviceChange::Keep(slot, device) => {
                    let key = Number::encode(*slot);
                    let is_full = table.len()? >= MAX_DEVICES as u64;
                    if is_full && table.get(key.as_slice())?.is_none() {
                        refused += 1;
                    } else {
                        table.insert(key.as_slice(), encode(device).as_slice())?;
                    }
                }
                DeviceChange::Forget(slot) => {
                    table.remove(Number::encode(*slot).as_slice())?;
                }
            }
        }
        Ok(refused)
    }
}

/// All that are known.
pub(super) fn read_all(txn: &ReadTransaction) -> Result<KnownDevices, Fault> {
    let table = match txn.open_table(DEVICES.definition()) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut devices = Vec::new();
    for record in table.iter()? {
        let (key, bytes) = record?;
        let slot = number("devices", key.value())?;
        devices.push((slot, decode("devices", &slot, bytes.value())?));
    }
    Ok(Some(devices))
}
