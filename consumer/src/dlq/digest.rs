use std::fmt::{self, Write};

use sha2::{Digest as _, Sha256};

/// A SHA-256. Its `Display` is hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The hexadecimal SHA-256 of `bytes`; empty for none, which is not the same as the SHA-256 of nothing.
pub fn digest_text(bytes: Option<&[u8]>) -> String {
    let mut text = String::new();
    if let Some(bytes) = bytes {
        let _ = write!(text, "{}", Digest::of(bytes));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest_text(Some(b"abc")), abc);
        assert_eq!(digest_text(None), "");
    }
}
