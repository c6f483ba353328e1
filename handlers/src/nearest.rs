//! The nearest known word to a misspelt one, for "did you mean …?".

/// Edits (insert, delete, replace, swap) that a typo may have; beyond this a hint would mislead.
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
        .filter(|(edits, word)| *edits <= FARTHEST.min(word.len() / 2).min(given.len() / 2))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

/// Levenshtein's distance, row by row, with neighbours that changed places as one edit (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let mut edits = (above[j] + usize::from(l != r)).min(row[j] + 1).min(above[j + 1] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                edits = edits.min(before[j - 1] + 1);
            }
            row.push(edits);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_leads_to_the_word_and_nonsense_to_none() {
        let known = ["chpasswd", "password", "ssh_pwauth", "mtu", "none"];
        for (given, expected) in [
            ("chpaswd", Some("chpasswd")),
            ("chpasswd", Some("chpasswd")),
            ("CHPASSWD", Some("chpasswd")),
            ("ssh-pwauth", Some("ssh_pwauth")),
            ("mut", Some("mtu")),
            ("tum", None),
            ("mtuu", Some("mtu")),
            ("on", None),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &known), expected, "{given}");
        }
        assert_eq!(nearest(&"chpasswd".repeat(1000), &known), None);
    }
}
