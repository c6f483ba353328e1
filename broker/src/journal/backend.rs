//! The journal's file, as the store sees it: bounded in what it may occupy.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;

/// A file that may grow to a bound. Locks are the folder's affair, see [`super::folder`].
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    bound: u64,
    length: Arc<AtomicU64>,
}

impl JournalFile {
    /// Wraps an open file. `length` follows the file's length, for whoever keeps a clone of it.
    pub(super) fn new(file: File, bound: u64, length: Arc<AtomicU64>) -> io::Result<Self> {
        length.store(file.metadata()?.len(), Ordering::Relaxed);
        Ok(Self { file, bound, length })
    }
}

impl StorageBackend for JournalFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        #[cfg(test)]
        fault::check()?;
        if len > self.bound {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.set_len(len)?;
        self.length.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        fault::check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        fault::check()?;
        self.file.write_all_at(data, offset)
    }
}

/// Failing disks, for tests: each thread has its own.
#[cfg(test)]
pub(super) mod fault {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Lets that many changes of the file pass; then one fails.
    pub(in crate::journal) fn after(changes: u32) {
        LEFT.set(Some(changes));
    }

    /// Ends it; true if the fault was met.
    pub(in crate::journal) fn clear() -> bool {
        LEFT.replace(None) == Some(u32::MAX)
    }

    pub(super) fn check() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => {
                LEFT.set(Some(u32::MAX));
                Err(io::Error::other("the test's disk fails"))
            }
            Some(u32::MAX) | None => Ok(()),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
