//! The instance-id, as cloud-init's files have it.

use std::io;
use std::path::{Path, PathBuf};

use cloud_channel_protocol::{InstanceId, InvalidInstanceId};

/// Where cloud-init keeps it: this boot's, then the last boot's.
const FILES: [&str; 2] = ["run/cloud-init/.instance-id", "var/lib/cloud/data/instance-id"];
/// No instance-id is longer; whatever is, is no instance-id.
const LONGEST: u64 = 1024;

/// Why the machine's id is not known.
#[derive(Debug, thiserror::Error)]
pub enum UnknownInstance {
    /// cloud-init has not run here.
    #[error(
        "cannot tell the instance-id: none of {} exists; run after cloud-init-local, or give `--instance-id`",
        .looked.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
    )]
    NoFile {
        /// Where we looked.
        looked: Vec<PathBuf>,
    },
    /// There is one and it cannot be read.
    #[error("cannot read the instance-id from `{}`", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is one and it is no id.
    #[error("`{}` holds no instance-id", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidInstanceId,
    },
}

/// Reads the instance-id below a root folder.
///
/// # Errors
/// Says which files were looked at and what was wrong.
pub(crate) fn read(root: &Path) -> Result<InstanceId, UnknownInstance> {
    let paths = FILES.map(|file| root.join(file));
    for path in &paths {
        let text = match read_bounded(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(UnknownInstance::Unreadable { path: path.clone(), source }),
        };
        return InstanceId::escape(&text)
            .map_err(|source| UnknownInstance::Invalid { path: path.clone(), source });
    }
    Err(UnknownInstance::NoFile { looked: paths.to_vec() })
}

fn read_bounded(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_boot_goes_before_the_last() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path()).unwrap_err().to_string().contains("--instance-id"));
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("var/lib/cloud/data/instance-id", "iid-old\n");
        assert_eq!(read(root.path()).unwrap().as_str(), "iid-old");
        put("run/cloud-init/.instance-id", "iid-datasource-none\n");
        assert_eq!(read(root.path()).unwrap().as_str(), "iid-datasource-none");
        put("run/cloud-init/.instance-id", "\n");
        assert!(matches!(read(root.path()), Err(UnknownInstance::Invalid { .. })));
    }
}
