//! `config check` and `config show`.

use std::process::ExitCode;

use cloud_channel_protocol::error_chain;

use super::arguments::{ConfigArguments, ConfigCommand};
use super::{CONFIGURATION, FAILED, complain, print};
use crate::settings::{Overrides, Settings};

pub(super) fn run(command: ConfigCommand) -> ExitCode {
    let (arguments, show) = match command {
        ConfigCommand::Check(arguments) => (arguments, false),
        ConfigCommand::Show(arguments) => (arguments, true),
    };
    let ConfigArguments { root, config } = arguments;
    let loaded = Settings::load(Overrides { root, config, ..Overrides::default() })
        .and_then(|settings| Ok((settings.warnings()?, settings)));
    let (warnings, settings) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&error_chain(&error));
            return ExitCode::from(CONFIGURATION);
        }
    };
    for warning in warnings {
        complain(&format!("warning: {warning}"));
    }
    if show && let Err(error) = print(settings.origins.to_string().as_bytes()) {
        complain(&format!("cannot print: {}", error_chain(error.as_ref())));
        return ExitCode::from(FAILED);
    }
    ExitCode::SUCCESS
}
