//! The daemon that a command talks to.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use cloud_channel_protocol::Endpoint;
use cloud_channel_protocol::server::BearerToken;

use crate::settings::{DialIdentity, DialTlsSettings, default_socket};

/// Which daemon to talk to.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The daemon's endpoint; without it, its Unix socket.
    #[arg(long, value_name = "URL", value_parser = |text: &str| Endpoint::parse(text))]
    endpoint: Option<Endpoint>,
    /// A file with the bearer token to show.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The daemon's --root, to find its Unix socket.
    #[arg(long, value_name = "DIR", default_value = "/", conflicts_with = "endpoint")]
    root: PathBuf,
    /// Over TLS: the authorities that judge the endpoint's certificate, PEM; without it, the system's.
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    ca: Option<PathBuf>,
    /// Over TLS: the certificate to show, PEM, with --key.
    #[arg(long, value_name = "FILE", requires_all = ["endpoint", "key"])]
    certificate: Option<PathBuf>,
    /// Over TLS: the private key of --certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

impl Target {
    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone().unwrap_or_else(|| default_socket(&self.root))
    }

    /// The token to show, if there is one.
    pub(super) fn token(&self) -> anyhow::Result<Option<BearerToken>> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(Some(BearerToken::new(text.trim().to_owned())))
    }

    /// Whom to trust at the endpoint, and what to show.
    pub(super) fn tls(&self) -> DialTlsSettings {
        let pair = self.certificate.clone().zip(self.key.clone());
        let identity = pair.map(|(certificate, key)| DialIdentity { certificate, key });
        DialTlsSettings { ca: self.ca.clone(), identity }
    }
}
