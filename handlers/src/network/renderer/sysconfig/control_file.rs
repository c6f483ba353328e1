//! `/etc/sysconfig/network`, Red Hat's switch for networking as a whole.

use super::super::rendered_file::RenderedFile;
use super::assignments::{Assignments, yes_no};
use crate::network::machine::reading::{text, unreadable};
use crate::{FileState, Refusal, System};

/// Where it is.
pub(super) const FILE: &str = "/etc/sysconfig/network";

/// The file, if it is ours or cloud-init's to write. Somebody else's stays, and is never counted as ours. One that was
/// ours and has more in it by now stays as it is.
pub(super) fn render(has_ipv6: bool, system: &dyn System) -> Result<Option<RenderedFile>, Refusal> {
    let state = |file| Some(RenderedFile { path: FILE.to_owned(), file });
    let present = system.read(FILE).map_err(|error| unreadable(&error))?;
    let Some(present) = present else { return Ok(state(written(has_ipv6))) };
    let known = [written(true), written(false)];
    if is_cloud_inits(system) || known.iter().any(|known| known.content == present.content) {
        return Ok(state(written(has_ipv6)));
    }
    let is_ours = present.content.starts_with(super::HEADER.as_bytes());
    Ok(state(present).filter(|_| is_ours))
}

/// True if cloud-init wrote the file.
pub(super) fn is_cloud_inits(system: &dyn System) -> bool {
    text(system, FILE).is_some_and(|content| super::is_cloud_inits(&content))
}

/// Unlike cloud-init's it does not say `IPV6_AUTOCONF=no`, which would be for every link of the machine.
fn written(has_ipv6: bool) -> FileState {
    let mut file = Assignments::default();
    file.set("NETWORKING", yes_no(true));
    if has_ipv6 {
        file.set("NETWORKING_IPV6", yes_no(true));
    }
    FileState::of_root(file.to_string(), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;

    fn rendered(content: &str) -> Option<String> {
        let system = MemorySystem::new().with_file(FILE, content);
        let file = render(true, &system).unwrap()?;
        Some(String::from_utf8(file.file.content).unwrap())
    }

    #[test]
    fn only_what_is_ours_or_cloud_inits_is_written() {
        let header = super::super::HEADER;
        let ours = format!("{header}NETWORKING=yes\nNETWORKING_IPV6=yes\n");
        assert_eq!(
            rendered("# Created by cloud-init on instance boot\nNETWORKING=yes\n"),
            Some(ours.clone())
        );
        assert_eq!(rendered(&format!("{header}NETWORKING=yes\n")), Some(ours));
        assert_eq!(rendered("NETWORKING=yes\nNOZEROCONF=yes\n"), None);
        let edited = format!("{header}NETWORKING=yes\nNOZEROCONF=yes\n");
        assert_eq!(rendered(&edited), Some(edited));
    }
}
