use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use roaring::RoaringTreemap;

/// Journal records begin with these, so that a file that is none is told apart.
const MAGIC: [u8; 4] = *b"ofj1";
const ACKNOWLEDGED: u8 = 1;
const FAILED: u8 = 2;
const INVALID: u8 = 3;
const HEADER: usize = MAGIC.len() + 1 + 4 + 4;

/// Appends what became of which sequences since the last time: records of `magic | kind | length | crc32 | roaring treemap`,
/// integers little-endian.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes that are whole records.
    length: u64,
}

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalContents {
    /// Sequences that the brokers acknowledged.
    pub acknowledged: RoaringTreemap,
    /// Sequences that surely are not in the log.
    pub failed: RoaringTreemap,
    /// Sequences of orders that were made invalid on purpose.
    pub invalid: RoaringTreemap,
}

impl JournalContents {
    /// Adds what `other` holds.
    pub fn add(&mut self, other: Self) {
        self.acknowledged |= other.acknowledged;
        self.failed |= other.failed;
        self.invalid |= other.invalid;
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.failed.is_empty() && self.invalid.is_empty()
    }
}

/// The journal can't be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("the run ledger {} can't be {action}", path.display())]
pub struct JournalError {
    path: PathBuf,
    action: &'static str,
    source: io::Error,
}

impl Journal {
    /// Creates an empty journal; one that exists already is an error.
    ///
    /// # Errors
    /// When the file exists or can't be made.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let file = File::create_new(path).map_err(|source| JournalError {
            path: path.to_owned(),
            action: "created",
            source,
        })?;
        Ok(Self { path: path.to_owned(), file, length: 0 })
    }

    /// Appends what `news` holds and waits until it is on the disk. Empty sets leave nothing.
    ///
    /// # Errors
    /// When the disk takes no more. The journal then is as it was before, and the next try may go well.
    pub fn append(&mut self, news: &JournalContents) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        for (kind, sequences) in [(ACKNOWLEDGED, &news.acknowledged), (FAILED, &news.failed), (INVALID, &news.invalid)]
        {
            if !sequences.is_empty() {
                encode(kind, sequences, &mut bytes);
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let failed = |source| JournalError { path: self.path.clone(), action: "written", source };
        let length = self.length + bytes.len() as u64;
        // What a failed try left behind the last whole record is written over, and the rest of it cut off.
        self.file.seek(SeekFrom::Start(self.length)).map_err(failed)?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.set_len(length));
        written.and_then(|()| self.file.sync_data()).map_err(failed)?;
        self.length = length;
        Ok(())
    }
}

fn encode(kind: u8, sequences: &RoaringTreemap, bytes: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(sequences.serialized_size());
    sequences.serialize_into(&mut body).expect("a Vec takes any write");
    bytes.extend_from_slice(&MAGIC);
    bytes.push(kind);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
}

/// Reads a journal. Half a record at its end (a killed producer's) is left out; damage before that is an error.
///
/// # Errors
/// When the file can't be read or is damaged.
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

type Record<'a> = ((u8, RoaringTreemap), &'a [u8]);

fn next_record(bytes: &[u8]) -> io::Result<Option<Record<'_>>> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return Ok(None) };
    if header[..4] != MAGIC {
        return Err(damaged("a record does not begin as it must"));
    }
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let Some((body, after)) = rest.split_at_checked(word(5) as usize) else { return Ok(None) };
    if crc32fast::hash(body) != word(9) {
        // A tail whose length reached the disk before its bytes did is torn, not damaged.
        return if after.is_empty() { Ok(None) } else { Err(damaged("a record's checksum is wrong")) };
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
    fn a_torn_tail_of_any_length_loses_only_itself() {
        let (_folder, path) = journal_of(&[(0, 1_000), (1_000, 1_010)]);
        let whole = std::fs::read(&path).unwrap();
        let first = next_record(&whole).unwrap().unwrap().1.len();
        for length in whole.len() - first..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read_journal(&path).unwrap().acknowledged.len(), 1_000, "cut at {length}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_not_taken_for_a_torn_tail() {
        let (_folder, path) = journal_of(&[(0, 1_000), (1_000, 1_010)]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEADER + 3] ^= 1;
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
