use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use roaring::RoaringTreemap;

/// First bytes of each record. A file that does not start with them is not a journal.
const MAGIC: [u8; 4] = *b"ofj1";
const ACKNOWLEDGED: u8 = 1;
const FAILED: u8 = 2;
const INVALID: u8 = 3;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4 + 4;

/// A journal that is open for writing. Each append writes the sequence numbers that are new since the last one, as
/// records of `magic | kind | length | crc32 | roaring treemap` with little-endian integers.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Length of the complete records in bytes.
    length: u64,
}

/// The sequence numbers in a journal, by the results of their orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalContents {
    /// Orders that the brokers acknowledged.
    pub acknowledged: RoaringTreemap,
    /// Orders that are not in the topic: librdkafka reported them as not persisted.
    pub failed: RoaringTreemap,
    /// Orders that are invalid on purpose, with any result.
    pub invalid: RoaringTreemap,
}

impl JournalContents {
    /// Adds all sequence numbers of `other`.
    pub fn add(&mut self, other: Self) {
        self.acknowledged |= other.acknowledged;
        self.failed |= other.failed;
        self.invalid |= other.invalid;
    }

    /// Whether there is no sequence number.
    pub fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.failed.is_empty() && self.invalid.is_empty()
    }
}

/// A journal can't be created, written or read. The message has the path, the source has the cause.
#[derive(Debug, thiserror::Error)]
#[error("the run ledger {} can't be {action}", path.display())]
pub struct JournalError {
    path: PathBuf,
    action: &'static str,
    source: io::Error,
}

impl Journal {
    /// Creates an empty journal.
    ///
    /// # Errors
    /// When the file exists already or can't be created.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let file = File::create_new(path).map_err(|source| JournalError {
            path: path.to_owned(),
            action: "created",
            source,
        })?;
        Ok(Self { path: path.to_owned(), file, length: 0 })
    }

    /// Appends `contents` and waits until it is on the disk. An empty set writes no record.
    ///
    /// # Errors
    /// When the file can't be written, such as when the disk is full. The complete records in the journal stay
    /// readable, and the caller may retry.
    pub fn append(&mut self, contents: &JournalContents) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        let JournalContents { acknowledged, failed, invalid } = contents;
        for (kind, sequences) in [(ACKNOWLEDGED, acknowledged), (FAILED, failed), (INVALID, invalid)] {
            if !sequences.is_empty() {
                encode(kind, sequences, &mut bytes);
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let failed = |source| JournalError { path: self.path.clone(), action: "written", source };
        let length = self.length + bytes.len() as u64;
        // A failed append may have left bytes after the last complete record. They are overwritten, and the rest is cut
        // off.
        self.file.seek(SeekFrom::Start(self.length)).map_err(failed)?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.set_len(length));
        written.and_then(|()| self.file.sync_data()).map_err(failed)?;
        self.length = length;
        Ok(())
    }
}

fn encode(kind: u8, sequences: &RoaringTreemap, bytes: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(sequences.serialized_size());
    sequences.serialize_into(&mut body).expect("a write to a Vec does not fail");
    bytes.extend_from_slice(&MAGIC);
    bytes.push(kind);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
}

/// Reads a journal. An incomplete record at its end, as a killed producer leaves it, is ignored.
///
/// # Errors
/// When the file can't be read, or a record before its end is damaged.
pub fn read_journal(path: &Path) -> Result<JournalContents, JournalError> {
    let failed = |source| JournalError { path: path.to_owned(), action: "read", source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    let mut contents = JournalContents::default();
    let mut rest = bytes.as_slice();
    while let Some((record, after)) = next_record(rest).map_err(failed)? {
        let (kind, sequences) = record;
        match kind {
            ACKNOWLEDGED => contents.acknowledged |= sequences,
            FAILED => contents.failed |= sequences,
            INVALID => contents.invalid |= sequences,
            other => return Err(failed(damaged(&format!("unknown record kind {other}")))),
        }
        rest = after;
    }
    Ok(contents)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged: {what}"))
}

type JournalRecord<'a> = ((u8, RoaringTreemap), &'a [u8]);

fn next_record(bytes: &[u8]) -> io::Result<Option<JournalRecord<'_>>> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else { return Ok(None) };
    if header[..4] != MAGIC {
        return Err(damaged("a record does not begin with the magic bytes"));
    }
    let integer = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let Some((body, after)) = rest.split_at_checked(integer(5) as usize) else { return Ok(None) };
    if crc32fast::hash(body) != integer(9) {
        // After a crash the file may have its new length but not its last bytes: the last record is then incomplete.
        return if after.is_empty() { Ok(None) } else { Err(damaged("the checksum of a record is wrong")) };
    }
    let sequences = RoaringTreemap::deserialize_from(body).map_err(|error| damaged(&error.to_string()))?;
    Ok(Some(((header[4], sequences), after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(sequences: std::ops::Range<u64>) -> JournalContents {
        JournalContents { acknowledged: sequences.collect(), ..JournalContents::default() }
    }

    fn journal_of(parts: &[(u64, u64)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acknowledged.journal");
        let mut journal = Journal::create(&path).unwrap();
        for (from, to) in parts {
            journal.append(&acknowledged(*from..*to)).unwrap();
        }
        (folder, path)
    }

    #[test]
    fn what_is_appended_is_read() {
        let (_folder, path) = journal_of(&[(0, 1_000), (1_000, 1_500), (1 << 37, (1 << 37) + 3)]);
        assert_eq!(read_journal(&path).unwrap().acknowledged.len(), 1_503);
    }

    #[test]
    fn an_incomplete_last_record_of_any_length_loses_only_itself() {
        let (_folder, path) = journal_of(&[(0, 1_000), (1_000, 1_010)]);
        let whole = std::fs::read(&path).unwrap();
        let first = next_record(&whole).unwrap().unwrap().1.len();
        for length in whole.len() - first..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read_journal(&path).unwrap().acknowledged.len(), 1_000, "cut at {length}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_not_taken_for_an_incomplete_last_record() {
        let (_folder, path) = journal_of(&[(0, 1_000), (1_000, 1_010)]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEADER_BYTES + 3] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(read_journal(&path).unwrap_err().source.to_string().contains("damaged"));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_ledger() {
        let mut journal = Journal {
            path: "runs/r/acknowledged.journal".into(),
            file: File::options().write(true).open("/dev/full").unwrap(),
            length: 0,
        };
        let error = journal.append(&acknowledged(0..9)).unwrap_err();
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains("runs/r/acknowledged.journal") && error.contains("No space left"), "{error}");
    }
}
