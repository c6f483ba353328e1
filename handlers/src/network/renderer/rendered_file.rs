//! A file that a renderer makes, and how it is known again.

use std::collections::BTreeMap;

use cloud_channel_protocol::hex;
use sha2::{Digest, Sha256};

use crate::FileState;

/// A file as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RenderedFile {
    pub(crate) path: String,
    pub(crate) file: FileState,
}

impl RenderedFile {
    /// Files that were there before, as they were.
    pub(crate) fn all(files: &BTreeMap<String, FileState>) -> Vec<Self> {
        files.iter().map(|(path, file)| Self { path: path.clone(), file: file.clone() }).collect()
    }
}

/// SHA-256 in hex.
pub(crate) fn digest(content: &[u8]) -> String {
    hex::write(&Sha256::digest(content))
}

/// Each file with the digest of its content.
pub(crate) fn digests(files: &[RenderedFile]) -> BTreeMap<String, String> {
    files.iter().map(|file| (file.path.clone(), digest(&file.file.content))).collect()
}
