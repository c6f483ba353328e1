//! `cc_set_passwords` against machines in memory: golden folders, single pushes, faults at every effect, and no
//! secret anywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod examples;
mod faults;
mod golden;
mod machine;
mod own_programs;
mod pushes;
mod secrets;
