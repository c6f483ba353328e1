//! Passwords made up here.

use std::io;

use crate::{Secret, System};

/// Letters and digits that nobody mistakes for one another when typing from a console: no `0O`, `1lI`, `o`.
const ALPHABET: &[u8; 56] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Of 56 characters: 116 bits.
const LENGTH: usize = 20;

/// Makes up a password, each character as likely as any other.
pub(super) fn random_password(system: &dyn System) -> io::Result<Secret> {
    let mut password = String::with_capacity(LENGTH);
    let mut bytes = [0; 2 * LENGTH];
    while password.len() < LENGTH {
        system.random(&mut bytes)?;
        // A byte beyond the last whole round of the alphabet would make its first letters likelier.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 / ALPHABET.len() * ALPHABET.len());
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        password.extend(letters.take(LENGTH - password.len()));
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;
    use std::collections::BTreeSet;

    #[test]
    fn uses_the_whole_alphabet_and_never_repeats() {
        let system = MemorySystem::new();
        let passwords: Vec<Secret> = (0..200).map(|_| random_password(&system).unwrap()).collect();
        let letters: BTreeSet<u8> = passwords.iter().flat_map(|one| one.expose().bytes()).collect();
        assert_eq!(letters, ALPHABET.iter().copied().collect::<BTreeSet<u8>>());
        assert!(passwords.iter().all(|one| one.expose().len() == LENGTH));
        let distinct: BTreeSet<&str> = passwords.iter().map(Secret::expose).collect();
        assert_eq!(distinct.len(), passwords.len());
    }
}
