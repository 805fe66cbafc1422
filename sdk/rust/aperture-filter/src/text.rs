//! Questions to UTF-8 bytes.

/// Whether `needle` occurs in `text`. The empty one occurs in every text.
pub fn contains(text: &[u8], needle: &[u8]) -> bool {
    let (first, rest) = match needle.split_first() {
        Some(parts) => parts,
        None => return true,
    };
    if text.len() < needle.len() {
        return false;
    }
    let last = text.len() - needle.len();
    (0..=last).any(|at| text[at] == *first && text[at + 1..].starts_with(rest))
}

/// Whether `path` is `above` or lies below it: `/a/b` and `/a` lie below `/a`, `/ab` does not.
pub fn is_below(path: &[u8], above: &[u8]) -> bool {
    let above = above.strip_suffix(b"/").unwrap_or(above);
    match path.strip_prefix(above) {
        Some(rest) => !path.is_empty() && (rest.is_empty() || rest[0] == b'/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{contains, is_below};

    #[test]
    fn contains_finds_a_text_at_every_place() {
        for text in ["needle", "needle at first", "at last needle", "neneedledle"] {
            assert!(contains(text.as_bytes(), b"needle"), "{text}");
        }
        for text in ["", "needl", "eedle", "Needle", "need le"] {
            assert!(!contains(text.as_bytes(), b"needle"), "{text}");
        }
        assert!(contains(b"", b"") && contains(b"a", b"") && contains("größe".as_bytes(), "ö".as_bytes()));
    }

    #[test]
    fn below_respects_the_names_of_a_path() {
        assert!(is_below(b"/tenants/a", b"/tenants/a") && is_below(b"/tenants/a/pod", b"/tenants/a"));
        assert!(is_below(b"/tenants/a/pod", b"/tenants/a/") && is_below(b"/tenants", b"/"));
        assert!(!is_below(b"/tenants/ab", b"/tenants/a") && !is_below(b"/tenants", b"/tenants/a"));
        assert!(!is_below(b"", b"/tenants/a") && !is_below(b"", b"/"));
    }
}
