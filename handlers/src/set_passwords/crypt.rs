//! Hashes passwords as the machine's own tools would, and checks them.

use std::io;

use sha_crypt::ShaCrypt;
use yescrypt::{PasswordHasher as _, PasswordVerifier as _, Yescrypt};

use crate::{Secret, System};

/// Settings of Debian 12's yescrypt: 16 MiB and some 50 ms a hash.
const DEBIAN_YESCRYPT: &str = "$y$j9T$";

/// What `sha-crypt` writes out and everybody else leaves out: the number of rounds when it is the default.
const DEFAULT_ROUNDS: &str = "rounds=5000$";

/// How this machine hashes a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// `$y$`: Debian's and most others' default.
    Yescrypt,
    /// `$6$`.
    Sha512,
    /// `$5$`.
    Sha256,
}

impl Method {
    /// Reads `ENCRYPT_METHOD` of `/etc/login.defs`. Yescrypt if it is missing, or names a method that is not made
    /// here: never a weaker one than was asked for.
    pub(super) fn of(system: &dyn System) -> io::Result<Self> {
        let Some(file) = system.read("/etc/login.defs")? else { return Ok(Self::Yescrypt) };
        let text = String::from_utf8_lossy(&file.content).into_owned();
        // The last one counts, as in shadow's own reader.
        let chosen = text.lines().rev().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("ENCRYPT_METHOD")).then(|| words.next().unwrap_or_default().to_owned())
        });
        Ok(match chosen.as_deref() {
            Some("SHA512") => Self::Sha512,
            Some("SHA256") => Self::Sha256,
            _ => Self::Yescrypt,
        })
    }

    /// Hashes a password with a fresh salt.
    pub(super) fn hash(self, password: &Secret, system: &dyn System) -> io::Result<Secret> {
        let password = password.expose().as_bytes();
        let fault = |text: String| io::Error::other(format!("cannot hash a password: {text}"));
        let hash = match self {
            Self::Yescrypt => {
                let mut salt = [0; 16];
                system.random(&mut salt)?;
                Yescrypt::default().hash_password_with_salt(password, &salt).map(|hash| hash.to_string())
            }
            Self::Sha512 | Self::Sha256 => {
                // 12 bytes are the 16 characters that crypt(5) takes at most.
                let mut salt = [0; 12];
                system.random(&mut salt)?;
                let algorithm = match self {
                    Self::Sha256 => sha_crypt::Algorithm::Sha256Crypt,
                    Self::Sha512 | Self::Yescrypt => sha_crypt::Algorithm::Sha512Crypt,
                };
                let hasher = ShaCrypt::new(algorithm, sha_crypt::Params::default());
                hasher
                    .hash_password_with_salt(password, &salt)
                    .map(|hash| hash.to_string().replacen(DEFAULT_ROUNDS, "", 1))
            }
        };
        hash.map(Secret::new).map_err(|error| fault(error.to_string()))
    }
}

/// Whether the hash is of the password; `None` if the method is not known here, or if its settings ask for more
/// than Debian's: a hash must not decide how much memory we take.
pub(super) fn is_hash_of(hash: &str, password: &Secret) -> Option<bool> {
    let password = password.expose().as_bytes();
    let checked = if hash.starts_with(DEBIAN_YESCRYPT) {
        Yescrypt::default().verify_password(password, hash)
    } else if (hash.starts_with("$6$") || hash.starts_with("$5$")) && !hash.contains("$rounds=") {
        ShaCrypt::default().verify_password(password, hash)
    } else {
        return None;
    };
    match checked {
        Ok(()) => Some(true),
        Err(yescrypt::password_hash::Error::PasswordInvalid) => Some(false),
        // A salt that these libraries do not read but the machine's own may.
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Invocation;
    use crate::system::{HostSystem, MemorySystem};
    use std::time::Duration;

    const METHODS: [(Method, &str); 3] =
        [(Method::Yescrypt, "$y$j9T$"), (Method::Sha512, "$6$"), (Method::Sha256, "$5$")];

    /// The machine's own crypt(3): `perl` asks libxcrypt. `None`, and said why, where there is no such thing.
    #[expect(clippy::print_stderr, reason = "a skipped check must not look like a passed one")]
    fn crypt_of_this_machine(password: &str, setting: &str) -> Option<String> {
        let script = "my $p = <STDIN>; chomp $p; my $s = <STDIN>; chomp $s; print crypt($p, $s) // '*0'";
        let perl = Invocation {
            program: "/usr/bin/perl".into(),
            args: vec!["-e".into(), script.into()],
            stdin: Some(Secret::new(format!("{password}\n{setting}\n"))),
            deadline: Duration::from_secs(30),
            subjects: Vec::new(),
        };
        match HostSystem::real().run(&perl) {
            Ok(hash) if !hash.is_empty() && !hash.starts_with('*') => Some(hash),
            Ok(_) => {
                eprintln!("skipped: this machine's crypt(3) does not know the method of `{setting}`");
                None
            }
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    #[test]
    fn the_machines_own_crypt_makes_the_same_hash() {
        let system = MemorySystem::new();
        for (method, prefix) in METHODS {
            for password in ["x", "correct horse: battery", "pässwörd", &"long".repeat(128)] {
                let hash = method.hash(&Secret::new(password), &system).unwrap();
                assert!(hash.expose().starts_with(prefix), "{method:?}");
                if let Some(theirs) = crypt_of_this_machine(password, hash.expose()) {
                    assert_eq!(hash.expose(), theirs, "{method:?}");
                }
            }
        }
    }

    #[test]
    fn hashes_of_the_machines_own_crypt_are_recognised() {
        for setting in ["$y$j9T$F5Jx5fExrKuPp53xLKQ..1$", "$6$rLsalt$", "$5$usesomesillystri$"] {
            let Some(hash) = crypt_of_this_machine("hunter2", setting) else { continue };
            assert_eq!(is_hash_of(&hash, &Secret::new("hunter2")), Some(true), "{setting}");
            assert_eq!(is_hash_of(&hash, &Secret::new("hunter3")), Some(false), "{setting}");
        }
    }

    #[test]
    fn a_hash_is_recognised_and_another_is_not() {
        let system = MemorySystem::new();
        for (method, _) in METHODS {
            let hash = method.hash(&Secret::new("right"), &system).unwrap();
            assert_eq!(is_hash_of(hash.expose(), &Secret::new("right")), Some(true));
            assert_eq!(is_hash_of(hash.expose(), &Secret::new("wrong")), Some(false));
            assert_ne!(hash, method.hash(&Secret::new("right"), &system).unwrap(), "the salt repeats");
        }
        for unknown in
            ["", "*", "$y$jFT$salt$hash", "$6$rounds=99999999$s$h", "$2b$12$abc", "$y$j9T$", "$6$x"]
        {
            assert_eq!(is_hash_of(unknown, &Secret::new("right")), None, "{unknown}");
        }
    }

    #[test]
    fn login_defs_chooses_the_method() {
        for (file, expected) in [
            (None, Method::Yescrypt),
            (Some("# ENCRYPT_METHOD SHA512\n"), Method::Yescrypt),
            (Some("ENCRYPT_METHOD\tSHA512\n"), Method::Sha512),
            (Some("  ENCRYPT_METHOD SHA512\nENCRYPT_METHOD SHA256\n"), Method::Sha256),
            (Some("ENCRYPT_METHOD DES\n"), Method::Yescrypt),
            (Some("ENCRYPT_METHOD\n"), Method::Yescrypt),
        ] {
            let system = match file {
                Some(text) => MemorySystem::new().with_file("/etc/login.defs", text),
                None => MemorySystem::new(),
            };
            assert_eq!(Method::of(&system).unwrap(), expected, "{file:?}");
        }
    }
}
