//! The form of a journal's entry: `magic | length of the body | crc32 of the body | crc32 of the 12 bytes before |
//! body`, with little-endian integers of 4 bytes. The body has a kind and a roaring treemap, once for each kind that
//! has numbers. So every byte is covered by a checksum, and the length by one that needs no body.

use roaring::RoaringTreemap;

use super::contents::JournalContents;

/// First bytes of each entry.
const MAGIC: [u8; 4] = *b"entr";
pub(super) const HEADER_BYTES: usize = 16;
const ACKNOWLEDGED: u8 = 1;
const FAILED: u8 = 2;
const INVALID: u8 = 3;
const CHANGES_ACKNOWLEDGED: u8 = 4;
const CHANGES_FAILED: u8 = 5;

/// Encodes an entry.
pub(super) fn encode(contents: &JournalContents) -> Vec<u8> {
    let JournalContents { acknowledged, failed, invalid, changes_acknowledged, changes_failed } = contents;
    let kinds = [
        (ACKNOWLEDGED, acknowledged),
        (FAILED, failed),
        (INVALID, invalid),
        (CHANGES_ACKNOWLEDGED, changes_acknowledged),
        (CHANGES_FAILED, changes_failed),
    ];
    let mut entry = vec![0; HEADER_BYTES];
    for (kind, sequences) in kinds {
        if !sequences.is_empty() {
            entry.push(kind);
            sequences.serialize_into(&mut entry).expect("a write to a Vec does not fail");
        }
    }
    let (header, body) = entry.split_at_mut(HEADER_BYTES);
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[8..12].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    let checksum = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    entry
}

/// What is at an offset of a journal.
pub(super) enum Entry<'a> {
    /// An entry of `length` bytes with correct checksums.
    Complete {
        body: &'a [u8],
        length: usize,
    },
    /// The file ends before the entry does.
    Incomplete,
    Broken(&'static str),
}

impl Entry<'_> {
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Complete { .. })
    }
}

/// Decodes the entry that `bytes` begin with.
pub(super) fn entry(bytes: &[u8]) -> Entry<'_> {
    let common = bytes.len().min(MAGIC.len());
    if bytes[..common] != MAGIC[..common] {
        return Entry::Broken("it does not begin with the magic bytes");
    }
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else { return Entry::Incomplete };
    let integer = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if crc32fast::hash(&header[..12]) != integer(12) {
        return Entry::Broken("the checksum of its header is wrong");
    }
    let Some(body) = rest.get(..integer(4) as usize) else { return Entry::Incomplete };
    if crc32fast::hash(body) != integer(8) {
        return Entry::Broken("the checksum of its body is wrong");
    }
    Entry::Complete { body, length: HEADER_BYTES + body.len() }
}

/// Adds the sequence numbers of an entry's body.
pub(super) fn add_body(mut body: &[u8], contents: &mut JournalContents) -> Result<(), String> {
    while let Some((kind, rest)) = body.split_first() {
        body = rest;
        let sequences = RoaringTreemap::deserialize_from(&mut body).map_err(|error| error.to_string())?;
        match *kind {
            ACKNOWLEDGED => contents.acknowledged |= sequences,
            FAILED => contents.failed |= sequences,
            INVALID => contents.invalid |= sequences,
            CHANGES_ACKNOWLEDGED => contents.changes_acknowledged |= sequences,
            CHANGES_FAILED => contents.changes_failed |= sequences,
            other => return Err(format!("its kind {other} is unknown")),
        }
    }
    Ok(())
}
