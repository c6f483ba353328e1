//! Giving back what only busy times need.

use std::io;
use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// Lets go of the pages of code that are mapped into this process.
///
/// The kernel maps code in blocks around what is touched, so the start, or one peer's visit, which run through most of
/// the program once, would leave nearly all of it in our resident set for the rest of our life. What is needed again
/// comes back from the page cache, a minor fault a block.
///
/// # Errors
/// If the kernel does not tell our mappings, or refuses.
pub(crate) fn release_code() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for range in maps.lines().filter_map(code_of_a_file) {
        #[expect(
            unsafe_code,
            reason = "only read-only code of files is let go of, which the kernel reads again"
        )]
        // SAFETY: the range is one whole mapping of ours that is private, not writable and backed by a file, so its
        // pages are the file's and dropping them changes no content (madvise(2), MADV_DONTNEED).
        unsafe {
            madvise(range.start as *mut std::ffi::c_void, range.len(), Advice::LinuxDontNeed)?;
        }
    }
    Ok(())
}

/// The addresses of a line of proc_pid_maps(5), if it is a file's code. Data that was relocated at the start is not
/// executable, and so never among them.
fn code_of_a_file(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next()? == "r-xp" && fields.nth(3)?.starts_with('/');
    let address = |text| usize::from_str_radix(text, 16).ok();
    is_code.then_some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_counts() {
        let code = "55d0c0a00000-55d0c0c00000 r-xp 00060000 fd:00 123   /usr/bin/cloud-channel";
        assert_eq!(code_of_a_file(code), Some(0x55d0_c0a0_0000..0x55d0_c0c0_0000));
        for other in [
            "55d0c0c00000-55d0c0c40000 r--p 00260000 fd:00 123   /usr/bin/cloud-channel",
            "55d0c0c40000-55d0c0c41000 rw-p 002a0000 fd:00 123   /usr/bin/cloud-channel",
            "7ffc1a9f2000-7ffc1a9f4000 r-xp 00000000 00:00 0     [vdso]",
            "7f0000000000-7f0000001000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code_of_a_file(other), None, "{other}");
        }
    }

    #[test]
    fn the_kernel_lets_go_and_the_program_goes_on() {
        release_code().unwrap();
    }
}
