//! The server core under any sequence of operations, by its public calls alone.
//!
//! `script` is how a sequence is written, `message` what clients write, `world` the shell that plays it, and `law` what
//! must hold of all that comes out.

mod law;
mod message;
mod script;
mod shell;
mod world;

/// More operations than this find nothing that fewer do not.
const LONGEST: usize = 200;

/// Plays a script, and then lets everything end.
///
/// # Panics
/// If a law of the core does not hold.
pub fn check(bytes: &[u8]) {
    let mut script = script::Script::new(bytes);
    let mut world = world::World::new();
    for _ in 0..LONGEST {
        let Some(letter) = script.letter() else { break };
        world.play(letter, &mut script);
    }
    world.finish();
}
