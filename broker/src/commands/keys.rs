//! `keys`: what one needs to be believed, a key that signs config or a bearer token.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, ensure};
use cloud_channel_protocol::hex;
use cloud_channel_protocol::signing::{SigningKey, pem_of_seed};

use super::arguments::KeysCommand;
use super::{OK, print_line};
use crate::policy::{is_token_name, token_line};

pub(super) fn run(command: KeysCommand) -> anyhow::Result<u8> {
    match command {
        KeysCommand::Generate { file } => generate(&file)?,
        KeysCommand::Public { file } => print_public(&read(&file, None)?)?,
        KeysCommand::Token { name } => make_token(&name)?,
    }
    Ok(OK)
}

/// Reads a private key. Its name, if none is given, is the file's.
pub(super) fn read(file: &Path, name: Option<&str>) -> anyhow::Result<SigningKey> {
    let pem =
        std::fs::read_to_string(file).with_context(|| format!("cannot read the key `{}`", file.display()))?;
    let of_file = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    SigningKey::from_pem(name.unwrap_or(of_file), &pem)
        .with_context(|| format!("cannot use the key `{}`", file.display()))
}

fn generate(file: &Path) -> anyhow::Result<()> {
    let pem = pem_of_seed(&random()?);
    // Never over a key that is there: what it has signed could not be signed again.
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot make the key `{}`", file.display()))?;
    created
        .write_all(pem.as_bytes())
        .and_then(|()| created.sync_all())
        .with_context(|| format!("cannot write the key `{}`", file.display()))?;
    print_public(&read(file, None)?)
}

fn print_public(key: &SigningKey) -> anyhow::Result<()> {
    print_line(&format!("management-keys: {{{}: \"{}\"}}", key.name(), key.public()))
}

fn make_token(name: &str) -> anyhow::Result<()> {
    ensure!(is_token_name(name), "expected a name of 1 to 64 letters, digits, `-`, `_` and `.`");
    let token = hex::write(&random()?);
    print_line(&format!("token: {token}"))?;
    print_line(&format!("for the token file: {}", token_line(name, &token)))
}

fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(bytes)
}
