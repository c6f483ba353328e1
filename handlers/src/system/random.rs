//! Random bytes.

use std::io;

use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

/// Fills a buffer from the kernel's generator.
pub(super) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(Errno::INTR) => {}
            Err(error) => {
                let error = io::Error::from(error);
                return Err(io::Error::new(error.kind(), format!("cannot get random bytes: {error}")));
            }
        }
    }
    Ok(())
}
