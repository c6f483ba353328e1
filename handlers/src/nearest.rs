//! The nearest known word to a misspelt one, for "did you mean …?".

/// Edits (insert, delete, replace) that a typo may have; beyond this a hint would mislead.
const FARTHEST: usize = 3;

/// The known word nearest to `given`, if one is near enough to be what was meant. Case does not count.
#[must_use]
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    // Payloads are hostile: the work below grows with the word's length.
    if given.len() > 64 {
        return None;
    }
    let given = given.to_lowercase();
    known
        .iter()
        .map(|word| (distance(&given, &word.to_lowercase()), *word))
        .filter(|(edits, word)| *edits <= FARTHEST.min(word.len() / 2))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

/// Levenshtein's distance, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_leads_to_the_word_and_nonsense_to_none() {
        let known = ["chpasswd", "password", "ssh_pwauth", "mtu"];
        for (given, expected) in [
            ("chpaswd", Some("chpasswd")),
            ("chpasswd", Some("chpasswd")),
            ("CHPASSWD", Some("chpasswd")),
            ("ssh-pwauth", Some("ssh_pwauth")),
            ("mut", None),
            ("mtuu", Some("mtu")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &known), expected, "{given}");
        }
        assert_eq!(nearest(&"chpasswd".repeat(1000), &known), None);
    }
}
