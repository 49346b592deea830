use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    contents::JournalContents,
    entry::{Entry, add_body, encode, entry},
};

/// First bytes of a journal: its name and the version of the format, a little-endian integer.
const FILE_HEADER: [u8; 8] = *b"ofjrnl\x02\x00";
/// First bytes of a journal of version 1, which had no header: those of its first entry.
const FIRST_VERSION: &[u8] = b"ofj1";

/// A journal that is open for writing: a header with the version of the format, and one entry for each append with the
/// sequence numbers that are new since the last one. The file is locked, so that two processes can't write it.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Length in bytes of the header and the complete entries.
    length: u64,
    /// Whether a failed append may have left bytes after the complete entries.
    has_remains: bool,
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
    /// Creates a journal without entries.
    ///
    /// # Errors
    /// When the file exists already or can't be created.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let created = File::create_new(path).and_then(|mut file| {
            lock(&file)?;
            file.write_all(&FILE_HEADER)?;
            file.sync_data()?;
            Ok(file)
        });
        let file = created.map_err(|source| JournalError { path: path.to_owned(), action: "created", source })?;
        Ok(Self { path: path.to_owned(), file, length: FILE_HEADER.len() as u64, has_remains: false })
    }

    /// Opens a journal to append to it. An incomplete entry at its end, as a killed producer leaves it, is cut off by
    /// the first append.
    ///
    /// # Errors
    /// When another process writes it, or as [`read_journal`].
    pub fn reopen(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError { path: path.to_owned(), action: "continued", source };
        let mut file = File::options().read(true).write(true).open(path).map_err(failed)?;
        lock(&file).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let (_, complete) = read_entries(&bytes).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, length: complete as u64, has_remains: complete < bytes.len() })
    }

    /// Appends `contents` and waits until it is on the disk. An empty set writes no entry.
    ///
    /// # Errors
    /// When the file can't be written, such as when the disk is full. The complete entries in the journal stay
    /// readable, and the caller may retry.
    pub fn append(&mut self, contents: &JournalContents) -> Result<(), JournalError> {
        if contents.is_empty() {
            return Ok(());
        }
        let entry = encode(contents);
        self.write(&entry).map_err(|source| JournalError { path: self.path.clone(), action: "written", source })
    }

    fn write(&mut self, entry: &[u8]) -> io::Result<()> {
        // Cut off before the next entry is written: a longer rest of an earlier attempt would follow it.
        if self.has_remains {
            self.file.set_len(self.length)?;
        }
        self.has_remains = true;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(entry)?;
        self.file.sync_data()?;
        self.has_remains = false;
        self.length += entry.len() as u64;
        Ok(())
    }
}

/// Reads a journal. An incomplete entry at its end, as a killed producer leaves it, is ignored.
///
/// # Errors
/// When the file can't be read, has another version, or is damaged: the message has the offset of the damaged entry. An
/// incomplete entry is damage as well when an entry follows it.
pub fn read_journal(path: &Path) -> Result<JournalContents, JournalError> {
    let failed = |source| JournalError { path: path.to_owned(), action: "read", source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    read_entries(&bytes).map(|(contents, _)| contents).map_err(failed)
}

/// The kernel unlocks the file when the process ends, whatever ends it.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another process writes it: end that producer first")),
        // Some network file systems have no locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The contents of all complete entries, and the offset of their end.
fn read_entries(bytes: &[u8]) -> io::Result<(JournalContents, usize)> {
    check_file_header(bytes)?;
    let mut contents = JournalContents::default();
    let mut offset = FILE_HEADER.len();
    while offset < bytes.len() {
        match entry(&bytes[offset..]) {
            Entry::Complete { body, length } => {
                add_body(body, &mut contents).map_err(|what| damaged(offset, &what))?;
                offset += length;
            }
            Entry::Incomplete => match (offset + 1..bytes.len()).find(|at| entry(&bytes[*at..]).is_complete()) {
                Some(at) => return Err(damaged(offset, &format!("it is incomplete, but an entry at {at} follows"))),
                None => break,
            },
            Entry::Broken(what) => return Err(damaged(offset, what)),
        }
    }
    Ok((contents, offset))
}

fn check_file_header(bytes: &[u8]) -> io::Result<()> {
    let unusable = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    if bytes.starts_with(&FILE_HEADER) {
        return Ok(());
    }
    if bytes.starts_with(FIRST_VERSION) {
        return unusable(
            "it has version 1 of the format: read it with the orderflow version in its run.json".to_owned(),
        );
    }
    if bytes.starts_with(&FILE_HEADER[..6]) && bytes.len() >= FILE_HEADER.len() {
        let version = u16::from_le_bytes([bytes[6], bytes[7]]);
        return unusable(format!("it has version {version} of the format: read it with a later version of orderflow"));
    }
    unusable("it does not begin with the header of a journal".to_owned())
}

fn damaged(offset: usize, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the entry at byte {offset} is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use super::{super::entry::HEADER_BYTES, *};

    fn acknowledged(sequences: std::ops::Range<u64>) -> JournalContents {
        JournalContents { acknowledged: sequences.collect(), ..JournalContents::default() }
    }

    /// A journal with two entries, and the offset of the second one.
    fn two_entries() -> (tempfile::TempDir, PathBuf, usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acknowledged.journal");
        let mut journal = Journal::create(&path).unwrap();
        let invalid = [7].into_iter().collect();
        journal.append(&JournalContents { invalid, ..acknowledged(0..1_000) }).unwrap();
        let second = journal.length as usize;
        journal.append(&acknowledged(1_000..1_010)).unwrap();
        (folder, path, second)
    }

    fn refused(path: &Path, bytes: &[u8]) -> String {
        std::fs::write(path, bytes).unwrap();
        format!("{:#}", anyhow::Error::from(read_journal(path).unwrap_err()))
    }

    #[test]
    fn what_is_appended_is_read() {
        let (_folder, path, _) = two_entries();
        let expected = JournalContents { invalid: [7].into_iter().collect(), ..acknowledged(0..1_010) };
        assert_eq!(read_journal(&path).unwrap(), expected);
    }

    #[test]
    fn an_incomplete_last_entry_of_any_length_loses_only_itself() {
        let (_folder, path, second) = two_entries();
        let whole = std::fs::read(&path).unwrap();
        for length in second..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read_journal(&path).unwrap().acknowledged.len(), 1_000, "cut at {length}");
        }
    }

    #[test]
    fn any_changed_byte_is_an_error_that_names_the_file_and_the_offset_of_the_entry() {
        let (_folder, path, second) = two_entries();
        let whole = std::fs::read(&path).unwrap();
        for changed in FILE_HEADER.len()..whole.len() {
            let offset = if changed < second { FILE_HEADER.len() } else { second };
            for bit in [0x01, 0x80] {
                let mut bytes = whole.clone();
                bytes[changed] ^= bit;
                let error = read_entries(&bytes).unwrap_err().to_string();
                assert!(error.contains(&format!("the entry at byte {offset} is damaged")), "{changed}: {error}");
            }
        }
        let mut bytes = whole;
        bytes[FILE_HEADER.len() + 4] ^= 1;
        let error = refused(&path, &bytes);
        assert!(error.contains("acknowledged.journal can't be read: the entry at byte 8 is damaged"), "{error}");
    }

    #[test]
    fn an_entry_that_lost_bytes_is_not_taken_for_an_incomplete_last_one_when_an_entry_follows() {
        let (_folder, path, second) = two_entries();
        let whole = std::fs::read(&path).unwrap();
        // The rest of the file is shorter than the length of the first entry.
        let cut = [&whole[..FILE_HEADER.len() + HEADER_BYTES + 5], &whole[second..]].concat();
        let error = refused(&path, &cut);
        assert!(error.contains("the entry at byte 8 is damaged: it is incomplete, but an entry"), "{error}");
    }

    #[test]
    fn a_file_of_another_version_or_kind_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acknowledged.journal");
        for (bytes, expected) in [
            (&b"ofj1\x01\x08\x00\x00\x00"[..], "has version 1 of the format"),
            (b"ofjrnl\x03\x00", "has version 3 of the format"),
            (b"{}", "does not begin with the header of a journal"),
            (b"", "does not begin with the header of a journal"),
        ] {
            let error = refused(&path, bytes);
            assert!(error.contains(expected) && error.contains("acknowledged.journal"), "{error}");
        }
    }

    #[test]
    fn a_journal_is_continued_after_its_last_complete_entry_wherever_it_was_cut() {
        let (_folder, path, second) = two_entries();
        let whole = std::fs::read(&path).unwrap();
        for length in [second, second + 1, second + HEADER_BYTES, whole.len() - 1, whole.len()] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut journal = Journal::reopen(&path).unwrap();
            journal.append(&acknowledged(5_000..5_003)).unwrap();
            let kept = if length == whole.len() { 1_010 } else { 1_000 };
            let found = read_journal(&path).unwrap().acknowledged;
            assert_eq!((found.len(), found.max()), (kept + 3, Some(5_002)), "cut at {length}");
        }
    }

    #[test]
    fn a_journal_that_is_open_for_writing_or_damaged_is_not_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acknowledged.journal");
        let refused = || format!("{:#}", anyhow::Error::from(Journal::reopen(&path).err().unwrap()));
        let open = Journal::create(&path).unwrap();
        assert!(refused().contains("acknowledged.journal can't be continued: another process writes it"));
        drop(open);
        std::fs::write(&path, [&FILE_HEADER[..], b"no entry"].concat()).unwrap();
        assert!(refused().contains("the entry at byte 8 is damaged"));
    }

    #[test]
    fn the_remains_of_a_failed_append_are_cut_off_before_the_next_one() {
        let (_folder, path, _) = two_entries();
        let file = File::options().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        let mut journal = Journal { path: path.clone(), file, length, has_remains: true };
        journal.file.seek(SeekFrom::End(0)).unwrap();
        journal.file.write_all(&[7; 10_000]).unwrap();
        journal.append(&acknowledged(1_010..1_011)).unwrap();
        assert_eq!(read_journal(&path).unwrap().acknowledged.len(), 1_011);
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_ledger() {
        let mut journal = Journal {
            path: "runs/r/acknowledged.journal".into(),
            file: File::options().write(true).open("/dev/full").unwrap(),
            length: 0,
            has_remains: false,
        };
        let error = journal.append(&acknowledged(0..9)).unwrap_err();
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains("runs/r/acknowledged.journal") && error.contains("No space left"), "{error}");
        assert!(journal.has_remains);
    }
}
