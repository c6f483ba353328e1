//! `config check` and `config show`.

use std::process::ExitCode;

use super::arguments::{ConfigArguments, ConfigCommand};
use super::{CONFIGURATION, FAILED, complain, print};
use crate::settings::{Overrides, Settings};

pub(super) fn run(command: ConfigCommand) -> ExitCode {
    let (arguments, show) = match command {
        ConfigCommand::Check(arguments) => (arguments, false),
        ConfigCommand::Show(arguments) => (arguments, true),
    };
    let ConfigArguments { root, config } = arguments;
    match Settings::load(Overrides { root, config, ..Overrides::default() }) {
        Ok(settings) if show => match print(settings.origins.to_string().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("cannot print: {error:#}"));
                ExitCode::from(FAILED)
            }
        },
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&crate::link::error_chain(&error));
            ExitCode::from(CONFIGURATION)
        }
    }
}
